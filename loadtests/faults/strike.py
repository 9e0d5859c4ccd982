"""A fault under load, and what clients and the journal notice of it."""

import asyncio
import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import select

from blended.journal.store import Store
from blended.journal.tables import responses
from loadtests.faults.parts import Part, Site
from loadtests.harness.fixed_rate import Result, load
from loadtests.harness.processes import runs

How = Literal["kill", "hang"]
HOW: tuple[How, ...] = ("kill", "hang")

RATE_PER_S, BEFORE_S, LASTS_S, AFTER_S = 50.0, 10.0, 15.0, 15.0
_PATIENCE_S = 60.0
_ID = "x-blended-response-id"
_MESSAGES = [{"role": "user", "content": "Hello!"}]
_BODIES = [{"model": "faults", "messages": _MESSAGES, "stream": s} for s in (False, True)]


@dataclass(frozen=True)
class Noticed:
    """What clients noticed of a fault, and the records that the journal lacks."""

    responses: int
    failed: int
    silent: int
    longest_s: float
    lost: int


async def struck(site: Site, part: Part, how: How) -> Noticed:
    """Ask at a fixed rate, and let a part of the blend fail meanwhile."""
    seconds = BEFORE_S + LASTS_S + AFTER_S
    results, _ = await asyncio.gather(
        load(site, RATE_PER_S, seconds, _BODIES), _fail(site, part, how)
    )
    return noticed(results, await asyncio.to_thread(_lost, site, results))


def noticed(results: Sequence[Result], lost: int) -> Noticed:
    """The figures of a load: see the module `loadtests.faults`."""
    waited_ms = [r.took_ms if r.ttft_ms is None else r.ttft_ms for r in results]
    return Noticed(
        responses=len(results),
        failed=sum(r.end != "finished" and not (r.stream and r.had_begun) for r in results),
        silent=sum(r.stream and r.had_begun and r.end in ("cut", "silent") for r in results),
        longest_s=round(max(waited_ms, default=0.0) / 1e3, 2),
        lost=lost,
    )


async def _fail(site: Site, part: Part, how: How) -> None:
    await asyncio.sleep(BEFORE_S)
    pids = await asyncio.to_thread(part.processes, site)
    for pid in pids:
        os.kill(pid, signal.SIGKILL if how == "kill" else signal.SIGSTOP)
    await asyncio.sleep(LASTS_S)
    if how == "hang":
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
    elif not any(map(runs, pids)):
        await asyncio.to_thread(part.restart, site)


def _lost(site: Site, results: Sequence[Result]) -> int:
    """How many responses that a client saw have no record, once the journal has had its time."""
    seen = {r.headers[_ID] for r in results if r.had_begun}
    store = Store(site.database.url)
    deadline = time.monotonic() + _PATIENCE_S
    try:
        while (missing := seen - _kept(store)) and time.monotonic() < deadline:
            time.sleep(1)
    finally:
        store.close()
    return len(missing)


def _kept(store: Store) -> set[str]:
    batches = store.stream(select(responses.c.response_id), rows=1000)
    return {response_id for batch in batches for (response_id,) in batch}
