"""A client of the API that takes the times of a stream."""

import json
import random
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

from blended import sse

WORDS = (
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

    `cached` are tokens of the prompt that the engine had in its cache. `attempts` is how often the
    router asked a component for it. `component` answered, and `is_redrawn` tells whether another
    one was drawn first, if the blend reveals its components.
    """

    first_s: float
    last_s: float
    prompt: int
    tokens: int
    cached: int = 0
    attempts: int = 1
    component: str | None = None
    is_redrawn: bool = False
    text: str = ""

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
    text = " ".join([str(random.getrandbits(48)), *random.choices(WORDS, k=words)])
    return await answered(http, url, model, [{"role": "user", "content": text}], tokens)


async def answered(
    http: aiohttp.ClientSession,
    url: str,
    model: str,
    messages: Sequence[Mapping[str, str]],
    tokens: int,
    headers: Mapping[str, str] | None = None,
) -> TimedResponse:
    """One streamed response of so many tokens to a history.

    Raises:
        MeasurementFailed: the response did not end properly.
    """
    body = {
        "model": model,
        "messages": messages,
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": tokens,
        "min_tokens": tokens,
    }
    began, first, last, usage = time.perf_counter(), 0.0, 0.0, dict[str, Any]()
    texts = list[str]()
    async with http.post(url, json=body, headers=headers) as response:
        if response.status != 200:
            raise MeasurementFailed(f"{response.status}: {(await response.text())[:200]}")
        async for event in _documents(response):
            if "error" in event:
                raise MeasurementFailed(event["error"]["message"])
            usage = event.get("usage") or usage
            if said := [c["delta"]["content"] for c in event["choices"] if _has_text(c)]:
                texts += said
                last = time.perf_counter() - began
                first = first or last
        told = response.headers
    if not usage or not first:
        raise MeasurementFailed("a response ended without tokens, or did not say how many it had")
    return TimedResponse(
        first_s=first,
        last_s=last,
        prompt=usage["prompt_tokens"],
        tokens=usage["completion_tokens"],
        cached=(usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0,
        attempts=int(told.get("x-blended-attempts", 1)),
        component=told.get("x-blended-component"),
        is_redrawn=told.get("x-blended-component") != told.get("x-blended-intended"),
        text="".join(texts),
    )


def _has_text(choice: Mapping[str, Any]) -> bool:
    return bool(choice["delta"].get("content"))


async def _documents(response: aiohttp.ClientResponse) -> AsyncIterator[dict[str, Any]]:
    parser = sse.Parser()
    async for chunk in response.content.iter_any():
        for item in parser.feed(chunk):
            if isinstance(item, sse.Event) and item.data != sse.DONE:
                yield json.loads(item.data)
