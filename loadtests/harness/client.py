"""A client of the API that times streams: single ones, or an open loop of many."""

import asyncio
import json
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import aiohttp

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


class Failed(Exception):
    """A response that did not end properly, or a client that was too slow to measure."""


@dataclass(frozen=True)
class Response:
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


@dataclass(frozen=True)
class Ask:
    """One request: its due time in seconds since the beginning, its words, and its tokens."""

    due_s: float
    words: int
    tokens: int


@dataclass(frozen=True)
class Outcome:
    """The outcome of a request: how late it was sent, and the response, or the reason for none."""

    ask: Ask
    late_s: float
    response: Response | None
    failure: str = ""


def session(headers: dict[str, str]) -> aiohttp.ClientSession:
    """A client without a limit of its own."""
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
    connector = aiohttp.TCPConnector(limit=0)
    return aiohttp.ClientSession(headers=headers, timeout=timeout, connector=connector)


async def ask(
    http: aiohttp.ClientSession, url: str, model: str, words: int, tokens: int
) -> Response:
    """One streamed response to a prompt with a unique beginning.

    Raises:
        Failed: the response did not end properly.
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
            raise Failed(f"{response.status}: {(await response.text())[:200]}")
        async for line in response.content:
            if not line.startswith(b"data: {"):
                continue
            event = json.loads(line[6:])
            if "error" in event:
                raise Failed(event["error"]["message"])
            usage = event.get("usage") or usage
            if any(choice["delta"].get("content") for choice in event["choices"]):
                last = time.perf_counter() - began
                first = first or last
        headers = response.headers
    if not usage or not first:
        raise Failed("a response ended without tokens, or did not say how many it had")
    return Response(
        first_s=first,
        last_s=last,
        prompt=usage["prompt_tokens"],
        tokens=usage["completion_tokens"],
        attempts=int(headers.get("x-blended-attempts", 1)),
        is_redrawn=headers.get("x-blended-component") != headers.get("x-blended-intended"),
    )


async def drive(
    url: str, headers: dict[str, str], model: str, asks: Sequence[Ask]
) -> list[Outcome]:
    """Send every request when it is due, whether earlier responses have come or not."""
    async with session(headers) as http:
        began = asyncio.get_running_loop().time()

        async def one(due: Ask) -> Outcome:
            clock = asyncio.get_running_loop().time
            await asyncio.sleep(began + due.due_s - clock())
            late_s = clock() - began - due.due_s
            try:
                found = await ask(http, url, model, due.words, due.tokens)
            except (Failed, aiohttp.ClientError, TimeoutError) as exc:
                return Outcome(due, late_s, None, str(exc))
            return Outcome(due, late_s, found)

        return await asyncio.gather(*(one(due) for due in asks))


def arrivals(
    rate: float, seconds: float, words: int, tokens: float, rng: random.Random
) -> Iterator[Ask]:
    """Requests at random moments, `rate` of them per second, and lengths around their mean.

    The length of a response is uniform between half and one and a half times the mean.
    """
    now = rng.expovariate(rate)
    while now < seconds:
        yield Ask(now, words, max(2, rng.randint(round(tokens / 2), round(3 * tokens / 2))))
        now += rng.expovariate(rate)
