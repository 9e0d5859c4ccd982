"""The reward model is killed under load: what clients notice."""

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from loadtests.harness.percentiles import percentile

BEFORE_S, AFTER_S = 10.0, 20.0
_RATE_PER_S = 20.0
_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Answered:
    """One request: when it was sent and how long it took, in seconds; what chose, what failed."""

    at_s: float
    took_s: float
    chosen_by: str | None
    failure: str | None


async def struck(target: Mapping[str, Any], model: str, pids: list[int]) -> dict[str, Any]:
    """Ask at a fixed rate, and kill these processes meanwhile."""
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
    async with aiohttp.ClientSession(headers=target["headers"], timeout=timeout) as http:
        began = time.perf_counter()
        tasks = list[asyncio.Task[Answered]]()
        async with asyncio.TaskGroup() as group:
            group.create_task(_kill(pids))
            for number in range(int((BEFORE_S + AFTER_S) * _RATE_PER_S)):
                await asyncio.sleep(max(0.0, began + number / _RATE_PER_S - time.perf_counter()))
                ask = _ask(http, target["url"], model, number, began)
                tasks.append(group.create_task(ask))
    return noticed([task.result() for task in tasks])


def noticed(found: list[Answered]) -> dict[str, Any]:
    """What came of the requests before the fault and after it."""
    before = [a for a in found if a.at_s < BEFORE_S]
    after = [a for a in found if a.at_s >= BEFORE_S]
    return {
        "responses": len(found),
        "failed": sum(a.failure is not None for a in found),
        "failures": dict(Counter(a.failure for a in found if a.failure)),
        "chosen_by": {
            name: dict(Counter(a.chosen_by for a in part if a.chosen_by))
            for name, part in (("before", before), ("after", after))
        },
        "p99_ms": {
            name: round(1e3 * percentile(sorted(a.took_s for a in part), 0.99), 1)
            for name, part in (("before", before), ("after", after))
        },
    }


async def _kill(pids: list[int]) -> None:
    await asyncio.sleep(BEFORE_S)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


async def _ask(
    http: aiohttp.ClientSession, url: str, model: str, number: int, began: float
) -> Answered:
    body = {
        "model": model,
        "messages": [{"role": "user", "content": f"Question {number}?"}],
        "stream": number % 2 == 0,
    }
    sent, chosen_by, failure = time.perf_counter(), None, None
    try:
        async with http.post(url, json=body) as response:
            text = await response.read()
            told = response.headers.get("x-blended-best-of", "")
            chosen_by = told.partition("chosen_by=")[2] or None
            if response.status != 200:
                failure = f"HTTP {response.status}"
            elif body["stream"] and not text.rstrip().endswith(b"[DONE]"):
                failure = "broken off"
    except (aiohttp.ClientError, TimeoutError) as exc:
        failure = type(exc).__name__
    return Answered(sent - began, time.perf_counter() - sent, chosen_by, failure)
