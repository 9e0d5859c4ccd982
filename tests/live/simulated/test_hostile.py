"""Clients are served while others hold connections, and while processes hang or die."""

import asyncio
import json
import os
import signal
import socket
import statistics
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from loadtests.harness.cluster import haproxies
from loadtests.harness.fixed_rate import Result, load, steady, summary
from tests.live.conftest import Live
from tests.live.simulated.conftest import deploy
from tests.support import HELLO, eventually

pytestmark = pytest.mark.ray

RATE_PER_S, CONNECTIONS, PATIENCE_S = 20, 4100, 120
# An address other than that of the clients.
STRANGER = "127.0.0.2"

BLEND = """
name: beset
router: {cpus: 0.1, replicas: {min: 2, max: 2}}
components:
  - {id: t, kind: simulated, simulation: &s {ttft_ms: 50, itl_ms: 10, tokens: 20, cpus: 0.1},
     health: {period_s: 1, timeout_s: 1}}
  - {id: u, kind: simulated, simulation: *s, health: {period_s: 1, timeout_s: 1}}
"""
BODIES = [{"model": "beset", "messages": HELLO, "stream": s} for s in (False, True)]


@pytest.fixture(scope="module")
def beset(live: Live) -> Live:
    """Two components of one replica each, behind two routers."""
    deploy(live, BLEND)
    return live


@contextmanager
def held(live: Live, count: int) -> Iterator[int]:
    """Open `count` connections with one byte each, as far as accepted; yields their number."""
    address = (urlsplit(live.url).hostname, urlsplit(live.url).port)
    with ExitStack() as stack:
        opened = 0
        for _ in range(count):
            with suppress(ConnectionError):
                connection = socket.create_connection(address, 10, (STRANGER, 0))
                stack.enter_context(connection)
                connection.sendall(b"P")
                opened += 1
        yield opened


@asynccontextmanager
async def stopped(pid: int) -> AsyncIterator[None]:
    """A process that hangs: it keeps its connections and does nothing."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def p99_ms(results: list[Result]) -> float:
    """The 99th percentile of the time until the end of a response."""
    return statistics.quantiles([r.took_ms for r in results], n=100)[-1]


async def test_strangers_that_hold_connections_keep_nobody_out(beset: Live) -> None:
    """4,100 silent connections without a key: every client is answered meanwhile."""
    usual = await load(beset, RATE_PER_S, 8, BODIES)
    with ExitStack() as stack:
        opened = await asyncio.to_thread(stack.enter_context, held(beset, CONNECTIONS))
        besieged = await load(beset, RATE_PER_S, 8, BODIES)

    figures = {"opened": opened, "p99_ms": [p99_ms(usual), p99_ms(besieged)]}
    print(json.dumps({**figures, "load_average": os.getloadavg()[0]}))
    assert opened > 1000
    assert {result.end for result in besieged} == {"finished"}


async def test_a_component_that_hangs_costs_no_response_that_had_not_begun(beset: Live) -> None:
    """The other component answers the waiting requests, long before their budget is over.

    All of them end while the process hangs.
    """
    (pid,) = await asyncio.to_thread(beset.pids, "component-t", "Simulated")
    async with stopped(pid):
        results = await load(beset, RATE_PER_S, 10, BODIES)

    longest_s = max(result.took_ms for result in results) / 1e3
    print(json.dumps({**summary(results), "longest_s": longest_s}))
    assert {result.end for result in results} == {"finished"}
    assert longest_s < 30


async def test_a_proxy_that_dies_is_there_again_in_seconds(beset: Live) -> None:
    """Serve starts another HAProxy, which passes on every later request.

    One that has handed over to its successor may still close its last connections; it dies, too.
    """
    before = haproxies(beset.running)
    async with steady(beset, RATE_PER_S, BODIES) as results:
        await eventually(lambda: len(results) > 40, PATIENCE_S)
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        await eventually(lambda: results[-1].end != "finished", PATIENCE_S)
        await eventually(lambda: results[-1].end == "finished", PATIENCE_S)

    refused = [r.started_s for r in results if r.end == "cut"]
    print(json.dumps({"refused_s": max(refused) - min(refused)}))
    assert max(refused) - min(refused) < 20
    assert not set(before) & set(haproxies(beset.running))


def wait_for_another(live: Live, pid: int) -> None:
    """Wait until two routers run, none of them with this process."""
    deadline = time.monotonic() + PATIENCE_S
    while len(now := live.pids("blended", "Router")) < 2 or pid in now:
        assert time.monotonic() < deadline, f"{now} are the routers after {PATIENCE_S} s"
        time.sleep(0.5)


async def test_a_router_that_hangs_is_replaced(beset: Live) -> None:
    """Serve ends it after three checks that fail, and with it the requests that wait for it."""
    pid, _ = await asyncio.to_thread(beset.pids, "blended", "Router")
    async with stopped(pid), steady(beset, RATE_PER_S, BODIES) as results:
        await asyncio.to_thread(wait_for_another, beset, pid)

    longest_s = max(result.took_ms for result in results) / 1e3
    print(json.dumps({**summary(results), "longest_s": longest_s}))
    assert longest_s < PATIENCE_S
    assert not psutil.pid_exists(pid)


def test_no_other_user_of_the_machine_gets_in(live: Live) -> None:
    """Logs, sockets and other files that Ray leaves open to all are in a closed folder."""
    folder = Path(live.running.temp_dir)

    assert folder.stat().st_mode & 0o077 == 0
    assert live.logs.is_relative_to(folder)
    sockets = [c.laddr for c in psutil.net_connections("unix") if "admin.sock" in str(c.laddr)]
    assert [s for s in sockets if str(folder) in str(s)]
