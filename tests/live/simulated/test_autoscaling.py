"""On a real Serve, components are scaled by the rate at which the router is asked."""

import asyncio
import os
import signal
import time

import pytest

from blended.config import loading
from loadtests.harness.cluster import controllers
from loadtests.harness.fixed_rate import steady
from tests.live.conftest import Live
from tests.live.simulated.conftest import deploy

pytestmark = pytest.mark.ray

BODIES = [{"model": "scaled", "messages": [{"role": "user", "content": "Hello!"}]}]
WITHIN_S = 120
# Ray's own policy would never add a replica: one takes more requests than are under way.
BLEND = """
name: scaled
selection: {weights: {d: 1, e: 0}}
router: {cpus: 0.1, replicas: {min: 1, max: 1, rate_window_s: 6}}
components:
  - {id: d, kind: simulated, simulation: &s {ttft_ms: 200, itl_ms: 10, tokens: 4},
     replicas: &r {min: 1, max: 6, target_ongoing_requests: 64, capacity: [4, 8, 12]}}
  - {id: e, kind: simulated, simulation: *s, replicas: *r}
"""


CHANGED = BLEND.replace("{d: 1, e: 0}", "{d: 0, e: 1}").replace("[4, 8, 12]", "[4, 8, 12, 16]")


async def targets(live: Live) -> dict[str, int]:
    """Serve's target number of replicas, by component."""
    apps = await asyncio.to_thread(live.applications)
    deployments = {i: apps[f"component-{i}"]["deployments"]["Simulated"] for i in "de"}
    return {i: deployment["target_num_replicas"] for i, deployment in deployments.items()}


async def reach(live: Live, component: str, replicas: int) -> None:
    """Wait until Serve's target is at least `replicas`."""
    began, found = time.monotonic(), dict[str, int]()
    while time.monotonic() < began + WITHIN_S:
        found = await targets(live)
        if found[component] >= replicas:
            return
        await asyncio.sleep(0.2)
    pytest.fail(f"Serve aims at {found} after {WITHIN_S} s, not at {replicas} of {component}")


def kill_controller(live: Live) -> None:
    """Kill Serve's controller, which Ray restarts."""
    (pid,) = controllers(live.running)
    os.kill(pid, signal.SIGKILL)


async def test_replicas_follow_the_rate_and_the_weights(live: Live) -> None:
    """A step in the rate, other weights, a controller that dies: the replicas follow each time.

    No request is refused meanwhile, and a component's capacity restarts no replica.
    """
    await asyncio.to_thread(deploy, live, BLEND)
    before = set(await asyncio.to_thread(live.pids, "component-d", "Simulated"))
    async with steady(live, 10, BODIES) as first:
        await reach(live, "d", 3)
        assert (await targets(live))["e"] == 1, "nobody asks for e"

        await asyncio.to_thread(live.deploy, loading.parse(CHANGED, "the changed blend"))
        await reach(live, "e", 3)

        kill_controller(live)
        async with steady(live, 10, BODIES) as second:
            await reach(live, "e", 5)
    after = set(await asyncio.to_thread(live.pids, "component-d", "Simulated"))

    assert {result.end for result in first + second} == {"finished"}
    assert before <= after
