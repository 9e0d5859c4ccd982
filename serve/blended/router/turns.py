"""Which conversation and which turn a request belongs to, from what the client sends with it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Turn:
    """A turn of a conversation.

    `conversation` is a hash of fixed length: equal for all turns of one conversation, fit for a
    header. `number` counts the user's messages so far; completions are always turn 0.
    """

    conversation: str
    number: int


def turn_of(payload: Mapping[str, Any], headers: Mapping[str, str], key_name: str) -> Turn:
    """Take the conversation the client names, else derive it from what no later turn changes.

    Named by the header `X-Conversation-ID`, `metadata.conversation_id` or `prompt_cache_key`;
    derived from the system prompt and the first user message, because a history only grows.
    Clients with different keys have different conversations.
    """
    messages = payload.get("messages") or []
    number = sum(message["role"] == "user" for message in messages)
    named = _named(payload, headers)
    if named is not None:
        return Turn(_digest([key_name, "named", named]), number)
    if "messages" in payload:
        return Turn(_digest([key_name, "derived", _beginning(messages)]), number)
    return Turn(_digest([key_name, "prompt", payload.get("prompt")]), number)


def _named(payload: Mapping[str, Any], headers: Mapping[str, str]) -> str | None:
    metadata = payload.get("metadata")
    candidates = (
        headers.get("x-conversation-id"),
        metadata.get("conversation_id") if isinstance(metadata, Mapping) else None,
        payload.get("prompt_cache_key"),
    )
    return next((c for c in candidates if isinstance(c, str) and c), None)


def _beginning(messages: list[Mapping[str, Any]]) -> list[Any]:
    """The messages up to the first of the user's, that one included."""
    first = next((i for i, m in enumerate(messages) if m["role"] == "user"), len(messages) - 1)
    return [[message["role"], message.get("content")] for message in messages[: first + 1]]


def _digest(value: Any) -> str:
    return hashlib.blake2b(json.dumps(value).encode(), digest_size=16).hexdigest()
