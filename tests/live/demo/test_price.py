"""The cost of blending, by the cached tokens that real engines report."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import fmean

import httpx
import pytest

from tests.live.conftest import Live
from tests.live.talks import BLOCK, QUESTIONS, Served, ask, client, everybody

pytestmark = pytest.mark.ray

LONG_TALKS, LONG_TURNS, STEADY_FROM, RESPONSE_TOKENS = 20, 11, 5, 48


async def long_talk(http: httpx.AsyncClient, number: int) -> list[Served]:
    """A conversation whose user messages, and whose responses, all have about the same length.

    A greedy response is text that its tokenizer reads as the tokens that were generated.
    """
    length = {"min_tokens": RESPONSE_TOKENS, "max_tokens": RESPONSE_TOKENS, "temperature": 0}
    messages, found = list[dict[str, str]](), []
    for turn in range(LONG_TURNS):
        words = [QUESTIONS[(number + turn + i) % len(QUESTIONS)] for i in range(3)]
        messages.append({"role": "user", "content": f"{number} {turn} {' '.join(words)}"})
        served, text = await ask(http, number, messages, **length)
        found.append(served)
        messages.append({"role": "assistant", "content": text})
    return found


@dataclass(frozen=True)
class Again:
    """A response whose component answered before, `turns` ago, when its prompt was shorter."""

    served: Served
    turns: int
    grown: int


def again(talk: list[Served]) -> Iterator[Again]:
    """The late responses of a conversation whose component had answered in it before."""
    last: dict[str, tuple[int, Served]] = {}
    for turn, served in enumerate(talk):
        if turn >= STEADY_FROM and served.component in last:
            before, earlier = last[served.component]
            yield Again(served, turn - before, len(served.prompt) - len(earlier.prompt))
        last[served.component] = turn, served


async def test_the_price_of_blending_is_bounded(demo: Live) -> None:
    """A prompt is computed anew from its component's last answer: k turns ago, k·U + (k-1)·R.

    The draw makes k the number of components on average, so the price is N·U + (N-1)·R. Because
    only whole blocks are cached, half a block is added.
    """
    async with client(demo) as http:
        talks = await everybody(LONG_TALKS, lambda n: long_talk(http, n))

    late = [found for talk in talks for found in again(talk)]
    turns = fmean(found.turns for found in late)
    measured = fmean(len(found.served.prompt) - found.served.cached for found in late)
    tokens_per_turn = sum(found.grown for found in late) / sum(found.turns for found in late)
    predicted = turns * tokens_per_turn - RESPONSE_TOKENS + BLOCK / 2
    whole = fmean(len(found.served.prompt) for found in late)
    figures = {"turns": turns, "measured": measured, "predicted": predicted, "whole": whole}
    print(json.dumps(figures))
    assert measured == pytest.approx(predicted, rel=0.03)
