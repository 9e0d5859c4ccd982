"""Two router replicas on a real cluster make the draws that one would make."""

import asyncio
import math
from collections import Counter
from itertools import pairwise

import aiohttp
import pytest
from scipy.stats import chisquare, norm

from tests.live.conftest import Live
from tests.live.simulated.conftest import deploy

pytestmark = pytest.mark.ray

DRAWS, CLIENTS = 10_000, 20
WEIGHTS = {"x": 5, "y": 3, "z": 2}
LEVEL = 1e-6

BLEND = """
name: rehearsal
api: {reveal_component: true}
selection: {weights: {x: 5, y: 3, z: 2}}
router: {cpus: 0.1, replicas: {min: 2, max: 2}}
components:
  - {id: x, kind: simulated, simulation: &fast {ttft_ms: 0, itl_ms: 0, tokens: 1}}
  - {id: y, kind: simulated, simulation: *fast}
  - {id: z, kind: simulated, simulation: *fast}
"""


async def test_draws_of_two_router_replicas_follow_the_weights(live: Live) -> None:
    """Over 10,000 responses frequencies fit by chi-square and successive draws are independent."""
    await asyncio.to_thread(deploy, live, BLEND)
    before = requests_by_router(live)
    sequences = await asyncio.gather(*(one_client(live) for _ in range(CLIENTS)))
    served = await requests_since(live, before)

    assert len(served) == 2, f"both router replicas should have served: {served}"
    assert min(served.values()) > DRAWS / 10, f"one replica did almost nothing: {served}"
    counts = Counter(name for sequence in sequences for name in sequence)
    p = chisquare([counts[n] for n in WEIGHTS], [DRAWS * w / 10 for w in WEIGHTS.values()]).pvalue
    assert p > LEVEL, (
        f"{counts} does not fit {WEIGHTS}; by chance one time in a million (p={p:.2g})"
    )
    agree = sum((w / 10) ** 2 for w in WEIGHTS.values())
    pairs = [x == y for sequence in sequences for x, y in pairwise(sequence)]
    z = (sum(pairs) - len(pairs) * agree) / math.sqrt(len(pairs) * agree * (1 - agree))
    p = 2 * norm.sf(abs(z))
    assert p > LEVEL, (
        f"successive draws are not independent; by chance one in a million (p={p:.2g})"
    )


async def one_client(live: Live) -> list[str]:
    """Ask repeatedly over one connection; returns the components in the responses' order."""
    body = {"model": "rehearsal", "messages": [{"role": "user", "content": "Hello!"}]}
    headers = {"Authorization": f"Bearer {live.api_key}"}
    drawn = []
    async with aiohttp.ClientSession(live.url, headers=headers) as session:
        for _ in range(DRAWS // CLIENTS):
            async with session.post("/v1/chat/completions", json=body) as response:
                assert response.status == 200, await response.text()
                drawn.append(response.headers["x-blended-component"])
    return drawn


def requests_by_router(live: Live) -> dict[str, float]:
    """The requests that each router replica has served, by Ray's own counter."""
    name = "ray_serve_deployment_request_counter_total"
    return live.metric(name, by="replica", deployment="Router")


async def requests_since(live: Live, before: dict[str, float]) -> dict[str, float]:
    """The further requests that each router has served, once all are counted."""
    async with asyncio.timeout(60):
        while True:
            now = requests_by_router(live)
            more = {replica: count - before.get(replica, 0.0) for replica, count in now.items()}
            if sum(more.values()) >= DRAWS:
                return {replica: count for replica, count in more.items() if count > 0}
            await asyncio.sleep(1)
