"""The component is random, the replica is not: what prefix caches make of it, on real engines."""

import asyncio
import json
import os
import signal
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import chain
from statistics import fmean
from typing import Any

import httpx
import pytest
import yaml

from blended import loading
from blended.config import BlendConfig
from blended.demo import CONVERSATION
from tests.live.conftest import Live, running
from tests.support import eventually

pytestmark = pytest.mark.ray

CONVERSATIONS, TURNS, AT_ONCE, HOMES = 60, 8, 6, 400
BLOCK = 32
COMPONENTS = ("ember", "flint", "willow")
LONG_TALKS, LONG_TURNS, STEADY_FROM, RESPONSE_TOKENS = 20, 11, 5, 48
QUESTIONS = [*CONVERSATION, "What is my name again?", "Tell me more about that.", "And why?"]


@dataclass(frozen=True)
class Served:
    """One response: who generated it, and the tokens of its prompt, all and those cached."""

    conversation: int
    component: str
    replica: str
    prompt: tuple[int, ...]
    cached: int


def blend(replicas: int) -> BlendConfig:
    """The demo blend with several replicas of ember, and room for everybody to stay at home."""
    data = loading.load("demo").model_dump(mode="json")
    data["components"][0]["replicas"] = {"min": replicas, "max": 4}
    for component in data["components"]:
        component["engine"]["args"]["kv_cache_memory_bytes"] = 2**28
    data["router"]["replicas"] = {"min": 2, "max": 2}
    return BlendConfig.model_validate(data)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Five engines and two routers."""
    folder = tmp_path_factory.mktemp("affinity")
    path = folder / "blend.yaml"
    path.write_text(yaml.safe_dump(blend(3).model_dump(mode="json")))
    with running(str(path), folder / "state") as live:
        yield live


@asynccontextmanager
async def client(live: Live) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {live.api_key}"}
    async with httpx.AsyncClient(base_url=live.url, headers=headers, timeout=120) as http:
        yield http


async def ask(
    http: httpx.AsyncClient, number: int, messages: list[dict[str, str]], **fields: Any
) -> tuple[Served, str]:
    """One turn of conversation `number`; also returns what was answered.

    The key makes the draws of a conversation the same in every run.
    """
    body = {"model": "demo", "messages": messages, "return_token_ids": True, **fields}
    headers = {"X-Conversation-ID": f"conversation {number}", "Idempotency-Key": f"seed {number}"}
    response = await http.post("/v1/chat/completions", json=body, headers=headers)
    assert response.status_code == 200, response.text
    assert response.headers["x-blended-attempts"] == "1"
    document = response.json()
    served = Served(
        number,
        response.headers["x-blended-component"],
        response.headers["x-blended-replica"],
        tuple(document["prompt_token_ids"]),
        document["usage"]["prompt_tokens_details"]["cached_tokens"],
    )
    return served, document["choices"][0]["message"]["content"]


async def converse(http: httpx.AsyncClient, number: int, turns: int) -> list[Served]:
    """A conversation whose first words are its own, so that no other's prefix helps it."""
    messages = [{"role": "user", "content": f"{number} {number * 7} Hello! My name is {number}."}]
    found = []
    for turn in range(turns):
        served, text = await ask(http, number, messages)
        found.append(served)
        messages.append({"role": "assistant", "content": text})
        question = QUESTIONS[(number + turn) % len(QUESTIONS)]
        messages.append({"role": "user", "content": question})
    return found


async def everybody(
    count: int, talk: Callable[[int], Awaitable[list[Served]]]
) -> list[list[Served]]:
    """So many conversations, some at a time."""
    places = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> list[Served]:
        async with places:
            return await talk(number)

    return await asyncio.gather(*map(one, range(count)))


async def homes(http: httpx.AsyncClient, count: int) -> dict[int, str]:
    """The replica of ember that each of so many conversations reaches now."""
    message = [{"role": "user", "content": "Hello!"}]

    async def home(number: int) -> list[Served]:
        return [(await ask(http, number, message, model="ember", max_tokens=1))[0]]

    found = chain(*await everybody(count, home))
    return {served.conversation: served.replica for served in found}


def one_replicas_hits(served: list[Served]) -> int:
    """The prompt tokens that one replica's cache would have held, in whole blocks."""
    known: dict[str, set[tuple[int, ...]]] = defaultdict(set)
    hits = 0
    for s in served:
        blocks = range(BLOCK, len(s.prompt), BLOCK)  # the last token is always computed
        hits += BLOCK * sum(s.prompt[:end] in known[s.component] for end in blocks)
        known[s.component].update(s.prompt[:end] for end in range(BLOCK, len(s.prompt) + 1, BLOCK))
    return hits


async def long_talk(http: httpx.AsyncClient, number: int) -> list[Served]:
    """A conversation in which every user message and every response is about as long.

    A response without chance is text that its tokenizer reads as the tokens that were generated.
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
    """A response of a component that had answered `turns` before, when its prompt was shorter."""

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


async def test_the_price_of_blending_is_bounded(live: Live) -> None:
    """A prompt is computed anew from where its component answered last: k turns ago, k·U + (k-1)·R.

    The draw makes k the number of components on average, so that the price is N·U + (N-1)·R. That
    blocks are cached whole or not at all adds half a block.
    """
    async with client(live) as http:
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


async def test_a_conversation_meets_one_replica_of_each_component(live: Live) -> None:
    """Over 60 conversations of 8 turns, through two routers, a router's restart and a scale-up."""
    async with client(live) as http:
        served = list(chain(*await everybody(CONVERSATIONS, lambda n: converse(http, n, TURNS))))
        replicas: dict[tuple[int, str], set[str]] = defaultdict(set)
        for s in served:
            replicas[s.conversation, s.component].add(s.replica)
        assert {len(found) for found in replicas.values()} == {1}
        assert len({s.replica for s in served if s.component == "ember"}) == 3
        hit, ideal = sum(s.cached for s in served), one_replicas_hits(served)

        before = await homes(http, HOMES)
        await restart_a_router(live)
        some = await homes(http, HOMES // 4)
        assert some == {number: before[number] for number in some}

        await scale(live, 4)
        after = await homes(http, HOMES)
        moved = sum(before[number] != after[number] for number in before) / HOMES
    print(json.dumps({"pairs": len(replicas), "cached": hit, "one_replica": ideal, "moved": moved}))
    assert hit >= 0.95 * ideal > 0
    assert len(set(after.values())) == 4
    # A quarter is expected to move. More than 35 % of 400, on rings of 100 points per replica, have
    # odds of 7 in 10,000 (simulated 20,000 times); hashing modulo n would move three quarters.
    assert moved <= 0.35


async def restart_a_router(live: Live) -> None:
    """Kill one of the two, and wait for the one that takes its place."""
    before = live.pids("blended", "Router")
    os.kill(before[0], signal.SIGKILL)

    def replaced() -> bool:
        now = live.pids("blended", "Router")
        return len(now) == 2 and before[0] not in now

    await eventually(replaced, timeout_s=120)


async def scale(live: Live, replicas: int) -> None:
    """Change the number of ember's replicas, and wait until they run."""
    await asyncio.to_thread(live.deploy, blend(replicas))
    ember = ("component-ember", "LLMServer:ember")
    await eventually(lambda: len(live.pids(*ember)) == replicas, timeout_s=120)
