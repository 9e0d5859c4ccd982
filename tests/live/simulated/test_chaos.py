"""Replicas are killed and replaced under load: the effects that clients see."""

import asyncio
import json
import os
import signal
import time
from dataclasses import dataclass, field
from typing import Any

import pytest

from blended.config import loading
from loadtests.harness.fixed_rate import Result, steady, summary
from loadtests.harness.postgres import Postgres
from tests.journal.databases import kept
from tests.live.conftest import Live
from tests.live.simulated.conftest import deploy
from tests.support import HELLO, eventually

pytestmark = pytest.mark.ray

RATE_PER_S, PAUSE_S, PATIENCE_S = 20, 3, 120
ID = "x-blended-response-id"

BLEND = """
name: chaos
router: {cpus: 0.1, replicas: {min: 2, max: 2}}
components:
  - {id: a, kind: simulated, simulation: &s {ttft_ms: 50, itl_ms: 10, tokens: 20, cpus: 0.1},
     replicas: &r {min: 2, max: 2}}
  - {id: b, kind: simulated, simulation: *s, replicas: *r}
  - {id: c, kind: simulated, simulation: *s, replicas: *r}
"""


@dataclass
class Trouble:
    """Kills processes of a running blend, one after another.

    It kills a component's next process when both replicas run again, so that one is always left,
    however long the machine takes to start another.
    """

    live: Live
    killed: set[int] = field(default_factory=set)

    async def whole(self, app: str, deployment: str) -> list[int]:
        """Wait until a deployment has two replicas, neither killed; returns the processes."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                pids = await asyncio.to_thread(self.live.pids, app, deployment)
                if len(pids) == 2 and not self.killed & set(pids):
                    return pids
                await asyncio.sleep(0.5)

    async def kill(self, app: str, deployment: str) -> None:
        """Kill one of a deployment's two replicas."""
        victim = (await self.whole(app, deployment))[0]
        self.killed.add(victim)
        os.kill(victim, signal.SIGKILL)

    async def kill_components(self, times: int) -> None:
        """Kill a replica of a, b and c in turn."""
        for index in range(times):
            await self.kill(f"component-{'abc'[index % 3]}", "Simulated")
            await asyncio.sleep(PAUSE_S)


async def everything(live: Live, start: float) -> float:
    """Six component replicas are killed; then a router's; then three more; then a redeployment.

    Returns when the router was killed, in seconds since `start`.
    """
    trouble = Trouble(live)
    await trouble.kill_components(6)
    await trouble.kill("blended", "Router")
    killed_s = time.monotonic() - start
    await trouble.kill_components(3)
    before = await trouble.whole("component-a", "Simulated")
    trouble.killed.update(before)  # the redeployment replaces them
    await asyncio.to_thread(redeploy, live)
    await trouble.whole("component-a", "Simulated")
    return killed_s


def redeploy(live: Live) -> None:
    """Change the simulation of component a, which replaces its replicas."""
    live.deploy(loading.parse(BLEND.replace("tokens: 20", "tokens: 21", 1), "the changed blend"))


async def test_clients_notice_nothing_that_had_not_begun(live: Live, database: Postgres) -> None:
    """No unary request fails; a stream that fails had begun, and ends with an error event.

    Only a killed router cannot send one: its streams break off inside an HTTP chunk, which clients
    report as an error.
    """
    await asyncio.to_thread(deploy, live, BLEND)
    bodies = [{"model": "chaos", "messages": HELLO, "stream": s} for s in (False, True)]
    async with steady(live, RATE_PER_S, bodies) as results:
        router_killed_s = await everything(live, time.monotonic())
    rows = await records(database.url, results, router_killed_s)

    print(json.dumps(summary(results)))
    assert len(results) > 500
    failed = [r for r in results if r.end != "finished"]
    assert all(r.stream and r.had_begun for r in failed), failed
    broken_off = [r for r in failed if r.end != "error_event"]
    assert all(r.end == "cut" and r.is_on_its_way(router_killed_s) for r in broken_off), failed
    assert len(failed) < 0.02 * len(results)
    agree(rows, results)
    weigh(rows)


async def records(url: str, results: list[Result], killed_s: float) -> list[Any]:
    """The journal's rows of these results, once every one that must survive the kill has a row.

    The rows that a killed router had not yet written are lost: at most those of its last second.
    """
    asked = {r.headers[ID] for r in results}
    due = {r.headers[ID] for r in results if not r.is_on_its_way(killed_s)}
    await eventually(lambda: due <= {row.response_id for row in kept(url)}, timeout_s=90)
    return [row for row in kept(url) if row.response_id in asked]


def agree(rows: list[Any], results: list[Result]) -> None:
    """One record for each response, with the same end as the client saw."""
    ends = {"finished": "finished", "error_event": "failed_after_first_byte"}
    seen = {r.headers[ID]: ends.get(r.end) for r in results}
    states = {row.response_id: row.state for row in rows}
    lost = len(seen) - len(states)
    print(json.dumps({"records": len(rows), "lost_with_the_router": lost}))
    assert len(states) == len(rows)
    assert states.keys() <= seen.keys()
    assert {i: states[i] for i in states if seen[i]} == {i: seen[i] for i in states if seen[i]}
    assert lost <= RATE_PER_S


def weigh(rows: list[Any]) -> None:
    """The responses of each component, weighted by inverse propensity, sum to all responses.

    The variance of the sum is that of sum(1{i}/p); the squared z-scores of three components, two of
    them free, exceed 18.4 once in 10,000 runs.
    """
    z_squared = []
    for component in "abc":
        p = [row.probabilities[component] for row in rows]
        weighted = sum(1 / row.propensity for row in rows if row.component == component)
        z_squared.append((weighted - len(rows)) ** 2 / sum((1 - q) / q for q in p))
    statistic = sum(z_squared) * 2 / 3
    print(json.dumps({"chi_square": statistic}))
    assert statistic < 18.4
