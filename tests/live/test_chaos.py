"""Under load replicas are killed and replaced: what clients notice of it."""

import asyncio
import json
import os
import signal
import time
from pathlib import Path

import pytest

from blended import loading
from tests.live.conftest import Live, running
from tests.live.load import load, summary

pytestmark = pytest.mark.ray

RATE_PER_S, DURATION_S, KILL_EVERY_S = 50, 60, 5

BLEND = """
name: chaos
router: {cpus: 0.1, replicas: {min: 2, max: 2}}
components:
  - {id: a, kind: simulated, simulation: &s {ttft_ms: 50, itl_ms: 10, tokens: 20, cpus: 0.1},
     replicas: &r {min: 2, max: 2}}
  - {id: b, kind: simulated, simulation: *s, replicas: *r}
  - {id: c, kind: simulated, simulation: *s, replicas: *r}
"""


async def kill_components(live: Live, times: int) -> None:
    """Kill a replica of a, b and c in turn."""
    for index in range(times):
        await asyncio.sleep(KILL_EVERY_S)
        app = f"component-{'abc'[index % 3]}"
        victims = await asyncio.to_thread(live.pids, app, "Simulated")
        if victims:
            os.kill(victims[0], signal.SIGKILL)


async def trouble(live: Live, blend: Path) -> float:
    """A killed component replica every five seconds; then a router's; then a redeployment.

    Returns when the router was killed, in seconds since the start.
    """
    start = time.monotonic()
    await kill_components(live, 6)
    os.kill((await asyncio.to_thread(live.pids, "blended", "Router"))[0], signal.SIGKILL)
    killed_s = time.monotonic() - start
    await kill_components(live, 3)
    await asyncio.to_thread(redeploy, live, blend)
    return killed_s


def redeploy(live: Live, blend: Path) -> None:
    """Give component a another simulation, which replaces its replicas."""
    blend.write_text(BLEND.replace("tokens: 20", "tokens: 21", 1))
    live.deploy(loading.load(str(blend)))


async def test_clients_notice_nothing_that_had_not_begun(tmp_path: Path) -> None:
    """No unary request fails; a stream that fails had begun, and says so by an error event.

    Only a killed router cannot say anything: its streams break off inside a chunk of HTTP, which
    clients report as an error.
    """
    blend = tmp_path / "chaos.yaml"
    blend.write_text(BLEND)
    message = {"role": "user", "content": "Hello!"}
    bodies = [{"model": "chaos", "messages": [message], "stream": s} for s in (False, True)]
    with running(str(blend), tmp_path / "state") as live:
        router_killed_s, results = await asyncio.gather(
            trouble(live, blend), load(live, RATE_PER_S, DURATION_S, bodies)
        )

    print(json.dumps(summary(results)))
    assert len(results) == RATE_PER_S * DURATION_S
    failed = [r for r in results if r.end != "finished"]
    assert all(r.stream and r.ttft_ms is not None for r in failed), failed
    broken_off = [r for r in failed if r.end != "error_event"]
    assert all(r.end == "cut" and r.is_on_its_way(router_killed_s) for r in broken_off), failed
    assert len(failed) < 0.02 * len(results)
