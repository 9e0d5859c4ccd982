"""Simulated users of a real API, who like one component better for each kind of message.

A message has words of its kind. The component that suits the kind is liked more often than the
others; a response that is not liked is asked for again, once. So what the journal sees is that a
message was answered again, as with people.
"""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from loadtests.studies.population.drive import BlendApi

_OWN = {
    "games": ("goal", "match", "team", "score", "ball", "coach"),
    "meals": ("bread", "soup", "oven", "salt", "butter", "spoon"),
    "nights": ("moon", "stars", "sleep", "dark", "dream", "quiet"),
}
KINDS = tuple(_OWN)
_COMMON = ("I", "was", "thinking", "about", "today", "and", "you", "know", "it", "again")
_TELLING, _REST = 3, 5
_AT_ONCE = 16
_MAX_TOKENS = 8
_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Liking:
    """Which component suits a kind of message, how often it is liked, and how often another is."""

    suits: dict[str, str]
    suited: float = 0.95
    other: float = 0.5

    def of(self, kind: str, component: str) -> float:
        """How likely a response is liked."""
        return self.suited if self.suits[kind] == component else self.other


@dataclass
class Told:
    """What the users saw: first responses to a message, and those of them that they liked."""

    responses: int = 0
    liked: int = 0
    failed: int = 0
    by_user: dict[str, tuple[int, int]] = field(default_factory=dict)


async def talk(
    target: BlendApi,
    liking: Liking,
    users: Sequence[str],
    messages: int,
    seed: int,
) -> Told:
    """Every user writes so many messages in one conversation; the API has to reveal components."""
    told, places = Told(), asyncio.Semaphore(_AT_ONCE)
    headers = {"authorization": f"Bearer {target.key}"}
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
    async with aiohttp.ClientSession(target.url, headers=headers, timeout=timeout) as session:

        async def converse(user: str) -> None:
            async with places:
                await _conversation(session, target.model, liking, user, messages, seed, told)

        async with asyncio.TaskGroup() as group:
            for user in users:
                group.create_task(converse(user))
    return told


async def _conversation(
    session: aiohttp.ClientSession,
    model: str,
    liking: Liking,
    user: str,
    messages: int,
    seed: int,
    told: Told,
) -> None:
    rng, history = random.Random(f"{seed} {user}"), list[dict[str, Any]]()
    liked = 0
    for _ in range(messages):
        kind = rng.choice(KINDS)
        history.append({"role": "user", "content": _message(kind, rng)})
        component, reply = await _asked(session, model, user, f"{user}-{seed}", history)
        is_liked = component is not None and rng.random() < liking.of(kind, component)
        told.failed += component is None
        told.responses += 1
        liked += is_liked
        if not is_liked:
            _, reply = await _asked(session, model, user, f"{user}-{seed}", history)
        history.append({"role": "assistant", "content": reply or "."})
    told.liked += liked
    told.by_user[user] = messages, liked


async def _asked(
    session: aiohttp.ClientSession,
    model: str,
    user: str,
    conversation: str,
    history: Sequence[dict[str, Any]],
) -> tuple[str | None, str]:
    """The component that answered, None if nobody did, and its text."""
    named = {"X-User-ID": user, "X-Conversation-ID": conversation}
    body = {"model": model, "messages": history, "max_tokens": _MAX_TOKENS}
    async with session.post("/v1/chat/completions", json=body, headers=named) as response:
        if response.status != 200:
            return None, ""
        document = await response.json()
        text = document["choices"][0]["message"]["content"] or ""
        return response.headers["x-blended-component"], text


def _message(kind: str, rng: random.Random) -> str:
    words = [*rng.choices(_OWN[kind], k=_TELLING), *rng.choices(_COMMON, k=_REST)]
    rng.shuffle(words)
    return " ".join(words)
