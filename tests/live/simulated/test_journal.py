"""The journal on a cluster: its database goes away and comes back, routers come and go."""

import asyncio
import json
import os
import signal
import time
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from statistics import quantiles

import pytest

from loadtests.harness.fixed_rate import Result, load
from loadtests.harness.postgres import Postgres
from tests.journal.databases import kept
from tests.live.conftest import Live
from tests.live.simulated.conftest import deploy
from tests.support import HELLO, eventually

pytestmark = pytest.mark.ray

RATE_PER_S, BEFORE_S, AWAY_S, AFTER_S = 20, 10, 15, 10
BODIES = [{"model": "kept", "messages": HELLO, "stream": True}]


BLEND = """
name: kept
router: {cpus: 0.1, replicas: {min: 2, max: 2}}
components:
  - {id: f, kind: simulated, simulation: &s {ttft_ms: 50, itl_ms: 10, tokens: 5}}
  - {id: g, kind: simulated, simulation: *s}
"""


@pytest.fixture(scope="module")
def kept_blend(live: Live) -> Live:
    """Two simulated components and two routers, with the journal in that database."""
    deploy(live, BLEND)
    return live


async def outage(database: Postgres) -> None:
    """Stop the database for a while."""
    await asyncio.sleep(BEFORE_S)
    await asyncio.to_thread(database.stop)
    await asyncio.sleep(AWAY_S)
    await asyncio.to_thread(database.start)


def have_arrived(database: Postgres, expected: Collection[str]) -> bool:
    """Whether all of these responses have a record."""
    return set(expected) <= {row.response_id for row in kept(database.url)}


def ids(results: list[Result]) -> list[str]:
    """The ids of the responses that clients saw."""
    return [result.headers["x-blended-response-id"] for result in results]


def p99_ms(results: list[Result], begin_s: float, end_s: float) -> float:
    """The 99th percentile of TTFT of the requests that began between the two times."""
    ttfts = [r.ttft_ms for r in results if begin_s <= r.started_s < end_s and r.ttft_ms]
    return quantiles(ttfts, n=100)[-1]


async def test_a_database_that_goes_away_costs_nothing(
    kept_blend: Live, database: Postgres
) -> None:
    """All responses go on, and each has one record once the database is back."""
    seconds = BEFORE_S + AWAY_S + AFTER_S
    loaded = load(kept_blend, RATE_PER_S, seconds, BODIES)
    _, results = await asyncio.gather(outage(database), loaded)
    expected = Counter(ids(results))
    await eventually(lambda: have_arrived(database, expected), timeout_s=60)

    away_s = BEFORE_S + AWAY_S
    figures = {
        "responses": len(results),
        "p99_before_ms": p99_ms(results, 1, BEFORE_S),
        "p99_away_ms": p99_ms(results, BEFORE_S, away_s),
        "p99_after_ms": p99_ms(results, away_s, seconds),
        "load_average": os.getloadavg()[0],
    }
    print(json.dumps(figures))
    assert {result.end for result in results} == {"finished"}
    there = (row.response_id for row in kept(database.url))
    assert Counter(found for found in there if found in expected) == expected
    assert set(expected.values()) == {1}


async def test_routers_that_are_told_to_end_leave_nothing_unrecorded(
    kept_blend: Live, database: Postgres
) -> None:
    """After SIGTERM to both routers, the database has every response that clients saw."""
    results = await load(kept_blend, RATE_PER_S, 2, BODIES)
    for pid in await asyncio.to_thread(kept_blend.pids, "blended", "Router"):
        os.kill(pid, signal.SIGTERM)
    ended_at = time.monotonic()
    await eventually(lambda: have_arrived(database, ids(results)), timeout_s=90)

    there = {row.response_id for row in kept(database.url)}
    print(json.dumps({"responses": len(results), "arrived_s": time.monotonic() - ended_at}))
    assert {result.end for result in results} == {"finished"}
    assert set(ids(results)) <= there


def test_the_spool_is_empty_in_the_end(kept_blend: Live) -> None:
    """The machine keeps only the folders of the running writers."""
    spool = Path(kept_blend.env["BLENDED_STATE_DIR"]) / "spool"

    assert list(spool.glob("*/*.jsonl")) == []
    assert not (spool / "rejected.jsonl").exists()
