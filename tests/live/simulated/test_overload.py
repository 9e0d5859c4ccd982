"""More requests than the components can take: some are served as usual, the others refused."""

import asyncio
import json
import os
import statistics

import pytest

from loadtests.harness.fixed_rate import Result, load, summary
from tests.live.conftest import Live
from tests.live.simulated.conftest import deploy
from tests.support import HELLO

pytestmark = pytest.mark.ray

# Three components, two responses at once each, one second per response: so few that requests wait
# for a component, not for a busy machine.
CAPACITY_PER_S = 3 * 2 / 1.0
DURATION_S = 20

BLEND = """
name: small
router: {cpus: 0.1, replicas: {min: 1, max: 1}}
components:
  - {id: k, kind: simulated, simulation: &s {ttft_ms: 200, itl_ms: 40, tokens: 21, concurrency: 2},
     replicas: &r {max_ongoing_requests: 2, target_ongoing_requests: 1, max_queued_requests: 1}}
  - {id: l, kind: simulated, simulation: *s, replicas: *r}
  - {id: m, kind: simulated, simulation: *s, replicas: *r}
"""


def p95_ttft_ms(results: list[Result]) -> float:
    """The 95th percentile of TTFT of the finished responses."""
    times = [r.ttft_ms for r in results if r.end == "finished" and r.ttft_ms is not None]
    return statistics.quantiles(times, n=20)[-1]


async def test_beyond_capacity_admitted_requests_keep_their_latency(live: Live) -> None:
    """At three times the capacity, admitted requests wait little longer; others get 429 at once."""
    await asyncio.to_thread(deploy, live, BLEND)
    body = {"model": "small", "messages": HELLO, "stream": True}
    usual = await load(live, 0.9 * CAPACITY_PER_S, DURATION_S, [body])
    beyond = await load(live, 3 * CAPACITY_PER_S, DURATION_S, [body])

    refused = [r for r in beyond if r.end != "finished"]
    ratio = p95_ttft_ms(beyond) / p95_ttft_ms(usual)
    print(
        json.dumps(
            {
                "load_average": os.getloadavg()[0],
                "at_0.9": summary(usual),
                "at_3": summary(beyond),
                "p95_ttft_ms": [round(p95_ttft_ms(r)) for r in (usual, beyond)],
                "p95_ttft_ratio": round(ratio, 2),
                "refused_ms": [round(f(r.took_ms for r in refused)) for f in (min, max)],
            }
        )
    )
    assert len(beyond) - len(refused) > 0.6 * CAPACITY_PER_S * DURATION_S
    assert {r.status for r in refused} == {429}
    assert all(int(r.headers["retry-after"]) > 0 for r in refused)
    # The target on an idle machine is 1.3.
    assert ratio < 2
