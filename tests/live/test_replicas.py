"""Two router replicas on a real cluster make the draws that one would."""

import asyncio
import math
from collections import Counter
from itertools import pairwise
from pathlib import Path

import aiohttp
import pytest
from scipy.stats import chisquare, norm

from tests.live.conftest import Live, running

pytestmark = pytest.mark.ray

DRAWS, CLIENTS = 10_000, 20
WEIGHTS = {"a": 5, "b": 3, "c": 2}
LEVEL = 1e-6

BLEND = """
name: rehearsal
api: {reveal_component: true}
selection: {weights: {a: 5, b: 3, c: 2}}
router: {cpus: 0.1, replicas: {min: 2, max: 2}}
components:
  - {id: a, kind: simulated, simulation: &fast {ttft_ms: 0, itl_ms: 0, tokens: 1}}
  - {id: b, kind: simulated, simulation: *fast}
  - {id: c, kind: simulated, simulation: *fast}
"""


async def test_draws_of_two_router_replicas_follow_the_weights(tmp_path: Path) -> None:
    """Over 10,000 responses frequencies fit by chi-square and successive draws are independent."""
    path = tmp_path / "rehearsal.yaml"
    path.write_text(BLEND)
    with running(str(path), tmp_path / "state") as live:
        sequences = await asyncio.gather(*(one_client(live) for _ in range(CLIENTS)))
        served = await requests_by_router(live)

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
    """Ask again and again over one connection; the components in the order of the responses."""
    body = {"model": "rehearsal", "messages": [{"role": "user", "content": "Hello!"}]}
    headers = {"Authorization": f"Bearer {live.api_key}"}
    drawn = []
    async with aiohttp.ClientSession(live.url, headers=headers) as session:
        for _ in range(DRAWS // CLIENTS):
            async with session.post("/v1/chat/completions", json=body) as response:
                assert response.status == 200, await response.text()
                drawn.append(response.headers["x-blended-component"])
    return drawn


async def requests_by_router(live: Live) -> dict[str, float]:
    """How many requests each router replica has served, by Ray's own counter."""
    async with asyncio.timeout(60):
        while True:
            counts = live.metric(
                "ray_serve_deployment_request_counter_total", by="replica", deployment="Router"
            )
            if sum(counts.values()) >= DRAWS:
                return counts
            await asyncio.sleep(1)
