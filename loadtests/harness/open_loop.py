"""Requests at many moments, whether earlier responses have come or not: an open loop."""

import asyncio
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import aiohttp

from loadtests.harness.timed_client import MeasurementFailed, TimedResponse, ask, session


@dataclass(frozen=True)
class ScheduledRequest:
    """One request, due so many seconds after the beginning: words to say, tokens to get."""

    due_s: float
    words: int
    tokens: int


@dataclass(frozen=True)
class RequestOutcome:
    """What became of an ask: how late it was sent, and the response, or why there is none."""

    ask: ScheduledRequest
    late_s: float
    response: TimedResponse | None
    failure: str = ""


async def drive(
    url: str, headers: dict[str, str], model: str, asks: Sequence[ScheduledRequest]
) -> list[RequestOutcome]:
    """Ask when it is due, whether earlier responses have come or not."""
    async with session(headers) as http:
        began = asyncio.get_running_loop().time()

        async def one(due: ScheduledRequest) -> RequestOutcome:
            clock = asyncio.get_running_loop().time
            await asyncio.sleep(began + due.due_s - clock())
            late_s = clock() - began - due.due_s
            try:
                found = await ask(http, url, model, due.words, due.tokens)
            except (MeasurementFailed, aiohttp.ClientError, TimeoutError) as exc:
                return RequestOutcome(due, late_s, None, str(exc))
            return RequestOutcome(due, late_s, found)

        return await asyncio.gather(*(one(due) for due in asks))


def arrivals(
    rate: float, seconds: float, words: int, tokens: float, rng: random.Random
) -> Iterator[ScheduledRequest]:
    """Requests at random moments, `rate` of them per second, and lengths around their mean.

    A response has between half and one and a half times the mean, each as often.
    """
    now = rng.expovariate(rate)
    while now < seconds:
        yield ScheduledRequest(
            now, words, max(2, rng.randint(round(tokens / 2), round(3 * tokens / 2)))
        )
        now += rng.expovariate(rate)
