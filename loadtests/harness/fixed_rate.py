"""Load at a fixed rate from one event loop, and what became of every request."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from itertools import count
from typing import Any, Literal, Protocol

import aiohttp

from blended import sse


class Api(Protocol):
    """Where a blend answers, without a path, and a key for it."""

    @property
    def url(self) -> str: ...
    @property
    def api_key(self) -> str: ...


End = Literal["finished", "error_event", "refused", "cut", "silent"]


@dataclass(frozen=True)
class Result:
    """One request: how it ended, when (seconds since the start of the load), and its TTFT in ms.

    `silent` is a stream that ended without [DONE] and without an error event; `cut` is a broken
    connection; `refused` an HTTP error, whose status and headers are kept.
    """

    end: End
    stream: bool
    started_s: float
    took_ms: float
    ttft_ms: float | None
    status: int
    headers: Mapping[str, str]
    detail: str = ""

    @property
    def had_begun(self) -> bool:
        """Whether the client knew of an answer: its status comes with a component's first bytes.

        The bytes themselves are lost where the connection breaks before the client has read them.
        """
        return self.status == HTTPStatus.OK

    def is_on_its_way(self, at_s: float, margin_s: float = 1.0) -> bool:
        """Whether the request had been sent and had not ended at a time, give or take."""
        return self.started_s - margin_s <= at_s <= self.started_s + self.took_ms / 1e3 + margin_s


async def load(
    api: Api, rate_per_s: float, duration_s: float, bodies: list[dict[str, Any]]
) -> list[Result]:
    """Send requests at an even rate, whether or not earlier ones have ended; await them all.

    `bodies` are sent in turn.
    """
    results: list[Result] = []
    number = int(rate_per_s * duration_s)
    await _send(api, rate_per_s, bodies, results, lambda sent: sent == number)
    return results


@asynccontextmanager
async def steady(
    api: Api, rate_per_s: float, bodies: list[dict[str, Any]]
) -> AsyncIterator[list[Result]]:
    """Send requests at an even rate until the block is left; its results come as they end.

    A slow machine has as much time as it takes to see what the block waits for.
    """
    results: list[Result] = []
    left = asyncio.Event()
    sending = asyncio.create_task(_send(api, rate_per_s, bodies, results, lambda _: left.is_set()))
    try:
        yield results
    finally:
        left.set()
        await sending


async def _send(
    api: Api,
    rate_per_s: float,
    bodies: list[dict[str, Any]],
    results: list[Result],
    is_over: Callable[[int], bool],
) -> None:
    """Send until `is_over` says so of the number sent; `results` is complete when this returns."""
    start = time.monotonic()

    async def ask(session: aiohttp.ClientSession, index: int) -> None:
        results.append(await _ask(session, bodies[index % len(bodies)], start))

    async with (
        aiohttp.ClientSession(
            api.url,
            headers={"Authorization": f"Bearer {api.api_key}"},
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=120),
        ) as session,
        asyncio.TaskGroup() as group,
    ):
        for index in count():
            if is_over(index):
                break
            await asyncio.sleep(start + index / rate_per_s - time.monotonic())
            group.create_task(ask(session, index))
    await asyncio.sleep(0.1)  # aiohttp's transports close in the loop's next turns


def summary(results: list[Result]) -> Counter[str]:
    """How many unary requests and streams ended in which way."""
    return Counter(f"{'stream' if r.stream else 'unary'} {r.end} {r.status}" for r in results)


async def _ask(session: aiohttp.ClientSession, body: dict[str, Any], start: float) -> Result:
    began, first, content, status = time.monotonic(), None, b"", 0
    headers: Mapping[str, str] = {}
    end: End = "cut"
    detail = ""
    try:
        async with session.post("/v1/chat/completions", json=body) as response:
            status, headers = response.status, dict(response.headers)
            async for chunk in response.content.iter_any():
                first = first or time.monotonic()
                content += chunk
        end = _end(status, bool(body.get("stream")), content)
    except (aiohttp.ClientError, TimeoutError) as exc:
        detail = repr(exc)
    return Result(
        end=end,
        stream=bool(body.get("stream")),
        started_s=began - start,
        took_ms=(time.monotonic() - began) * 1e3,
        ttft_ms=(first - began) * 1e3 if first else None,
        status=status,
        headers={name.lower(): value for name, value in headers.items()},
        detail=detail or (content[-300:].decode(errors="replace") if end != "finished" else ""),
    )


def _end(status: int, stream: bool, content: bytes) -> End:
    if status != 200:
        return "refused"
    if not stream:
        json.loads(content)
        return "finished"
    *_, last = [b"", *(event.data for event in sse.events([content]))]
    if last == sse.DONE:
        return "finished"
    return "error_event" if last.startswith(b'{"error"') else "silent"
