"""A client of the API that takes the times of a stream."""

import json
import random
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp

from blended import sse

_WORDS = (
    "sun",
    "rain",
    "tea",
    "music",
    "work",
    "dreams",
    "summer",
    "home",
    "books",
    "cats",
    "bread",
)
_TIMEOUT_S = 300.0


class MeasurementFailed(Exception):
    """A response that did not end properly, or a client that was too slow to measure."""


@dataclass(frozen=True)
class TimedResponse:
    """One response that ended: seconds to the first token and to the last, and tokens.

    `attempts` is how often the router asked a component for it. `is_redrawn` tells whether another
    component than the first drawn one has answered, if the blend reveals its components.
    """

    first_s: float
    last_s: float
    prompt: int
    tokens: int
    attempts: int = 1
    is_redrawn: bool = False

    @property
    def itl_s(self) -> float:
        """Mean seconds between its tokens; 0 where there is only one."""
        return (self.last_s - self.first_s) / (self.tokens - 1) if self.tokens > 1 else 0.0


def session(headers: dict[str, str]) -> aiohttp.ClientSession:
    """A client without a limit of its own."""
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
    connector = aiohttp.TCPConnector(limit=0)
    return aiohttp.ClientSession(headers=headers, timeout=timeout, connector=connector)


async def ask(
    http: aiohttp.ClientSession, url: str, model: str, words: int, tokens: int
) -> TimedResponse:
    """One streamed response to a prompt with a unique beginning.

    Raises:
        MeasurementFailed: the response did not end properly.
    """
    text = " ".join([str(random.getrandbits(48)), *random.choices(_WORDS, k=words)])
    body = {
        "model": model,
        "messages": [{"role": "user", "content": text}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": tokens,
        "min_tokens": tokens,
    }
    began, first, last, usage = time.perf_counter(), 0.0, 0.0, dict[str, int]()
    async with http.post(url, json=body) as response:
        if response.status != 200:
            raise MeasurementFailed(f"{response.status}: {(await response.text())[:200]}")
        async for event in _documents(response):
            if "error" in event:
                raise MeasurementFailed(event["error"]["message"])
            usage = event.get("usage") or usage
            if any(choice["delta"].get("content") for choice in event["choices"]):
                last = time.perf_counter() - began
                first = first or last
        headers = response.headers
    if not usage or not first:
        raise MeasurementFailed("a response ended without tokens, or did not say how many it had")
    return TimedResponse(
        first_s=first,
        last_s=last,
        prompt=usage["prompt_tokens"],
        tokens=usage["completion_tokens"],
        attempts=int(headers.get("x-blended-attempts", 1)),
        is_redrawn=headers.get("x-blended-component") != headers.get("x-blended-intended"),
    )


async def _documents(response: aiohttp.ClientResponse) -> AsyncIterator[dict[str, Any]]:
    parser = sse.Parser()
    async for chunk in response.content.iter_any():
        for item in parser.feed(chunk):
            if isinstance(item, sse.Event) and item.data != sse.DONE:
                yield json.loads(item.data)
