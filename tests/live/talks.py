"""Conversations with real engines, several at a time, with the cached tokens of each turn."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from blended.demo import CONVERSATION
from tests.live.conftest import Live

# The tokens of a block, which a prefix cache holds as a whole or not at all.
# What vLLM calls the request for the tokens of a prompt.
TOKEN_IDS = "return_token_ids"
BLOCK = 32
QUESTIONS = [*CONVERSATION, "What is my name again?", "Tell me more about that.", "And why?"]
_AT_ONCE = 6


@dataclass(frozen=True)
class Served:
    """One response: its component and replica, and its prompt's tokens, all and cached."""

    conversation: int
    component: str
    replica: str
    prompt: tuple[int, ...]
    cached: int


@asynccontextmanager
async def client(live: Live) -> AsyncIterator[httpx.AsyncClient]:
    """A client with the key."""
    headers = {"Authorization": f"Bearer {live.api_key}"}
    async with httpx.AsyncClient(base_url=live.url, headers=headers, timeout=120) as http:
        yield http


async def ask(
    http: httpx.AsyncClient, number: int, messages: list[dict[str, str]], **fields: Any
) -> tuple[Served, str]:
    """One turn of conversation `number`; also returns the answer's text.

    The idempotency key gives a conversation the same draws in every run.
    """
    body = {"model": "demo", "messages": messages, TOKEN_IDS: True, **fields}
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


async def everybody(
    count: int, talk: Callable[[int], Awaitable[list[Served]]]
) -> list[list[Served]]:
    """Run a number of conversations, several at a time."""
    places = asyncio.Semaphore(_AT_ONCE)

    async def one(number: int) -> list[Served]:
        async with places:
            return await talk(number)

    return await asyncio.gather(*map(one, range(count)))
