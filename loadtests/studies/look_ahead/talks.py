"""Conversations with a blend, one response after another, and the times of their first tokens."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import aiohttp

from loadtests.harness.timed_client import TimedResponse, answered


@dataclass(frozen=True)
class Shape:
    """A conversation's lengths: turns, words of a user's message, tokens of a response, and the
    seconds between a response's end and the next message."""

    turns: int
    user_words: int
    response_tokens: int
    think_s: float


@dataclass(frozen=True)
class TimedTurn:
    """One turn: its number from 1, its response, and the component that answered before."""

    turn: int
    response: TimedResponse
    before: str | None

    @property
    def is_same(self) -> bool:
        """Whether the component answered that had answered before."""
        return self.response.component == self.before


async def talk(
    http: aiohttp.ClientSession,
    url: str,
    model: str,
    shape: Shape,
    words: Callable[[], str],
    rng: random.Random,
) -> list[TimedTurn]:
    """One conversation with a user of its own, whose cache no other shares.

    Raises:
        MeasurementFailed: a response did not end properly.
    """
    name = f"{rng.getrandbits(64):x}"
    headers = {"X-Conversation-ID": name, "X-User-ID": name}
    messages, found = list[dict[str, Any]](), list[TimedTurn]()
    before: str | None = None
    for turn in range(1, shape.turns + 1):
        if turn > 1:
            await asyncio.sleep(shape.think_s)
        content = " ".join(words() for _ in range(shape.user_words))
        messages.append({"role": "user", "content": content})
        response = await answered(http, url, model, messages, shape.response_tokens, headers)
        messages.append({"role": "assistant", "content": response.text})
        found.append(TimedTurn(turn, response, before))
        before = response.component
    return found
