"""The user, conversation and turn of a request, from its body and headers."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from blended.errors import ApiError
from blended.timestamps import in_utc


@dataclass(frozen=True)
class Turn:
    """A turn of a conversation.

    `conversation` is a hash of fixed length: equal for all turns of one conversation, fit for a
    header. `number` counts the user's messages so far; completions are always turn 0. `user` is
    the user that the client names, `since` their first visit in Unix seconds. `is_named` is false
    for a conversation that is only derived: the first words of different users may be equal.
    """

    conversation: str
    number: int
    user: str | None = None
    since: float | None = None
    is_named: bool = False

    @property
    def is_one_persons(self) -> bool:
        """Whether no other user can have this conversation."""
        return self.is_named or bool(self.user)


def turn_of(payload: Mapping[str, Any], headers: Mapping[str, str], key_name: str) -> Turn:
    """Take the conversation that the client names, else derive it from what no later turn changes.

    It is named by the header `X-Conversation-ID`, `metadata.conversation_id` or `prompt_cache_key`,
    or derived from the system prompt and the first user message, because a history only grows.
    Clients with different keys have different conversations. The user is named by the header
    `X-User-ID`, `metadata.user_id`, `safety_identifier` or `user`; `X-User-Since` or
    `metadata.user_since` gives the time of the user's first visit.

    Raises:
        ApiError: 400, that time is not valid.
    """
    messages = payload.get("messages") or []
    number = sum(message["role"] == "user" for message in messages)
    user = _first_text(
        headers.get("x-user-id"),
        _metadata(payload, "user_id"),
        payload.get("safety_identifier"),
        payload.get("user"),
    )
    named = _first_text(
        headers.get("x-conversation-id"),
        _metadata(payload, "conversation_id"),
        payload.get("prompt_cache_key"),
    )
    if named is not None:
        parts: list[Any] = ["named", named]
    elif "messages" in payload:
        parts = ["derived", _beginning(messages)]
    else:
        parts = ["prompt", payload.get("prompt")]
    conversation = _digest([key_name, *parts])
    since = headers.get("x-user-since") or _metadata(payload, "user_since")
    since_s = None if since is None else _time(since)
    return Turn(conversation, number, user, since_s, named is not None)


@dataclass(frozen=True)
class Lineage:
    """Hashes of the history that a request continues (`history`), and of its beginning (`parent`).

    The beginning ends before the response that the user's last messages follow; its hash is None if
    there is no such response. Equal histories of one user in one conversation have equal hashes, so
    that a record shows which responses it replaces or continues.
    """

    history: str | None
    parent: str | None


def lineage_of(turn: Turn, messages: Sequence[Mapping[str, Any]]) -> Lineage:
    """The lineage of a turn; empty if the turn may belong to any user."""
    if not turn.is_one_persons or not messages:
        return Lineage(None, None)
    roles = [message["role"] for message in messages]
    asked = max((i for i, role in enumerate(roles) if role == "user"), default=0)
    answered = max((i for i in range(asked) if roles[i] == "assistant"), default=None)
    digest = hashlib.blake2b(f"{turn.conversation} {turn.user!r}".encode(), digest_size=16)
    parent = None
    if answered is not None:
        digest.update(_texts(messages[:answered]))
        parent = digest.hexdigest()
    digest.update(_texts(messages[answered or 0 :]))
    return Lineage(digest.hexdigest(), parent)


def _texts(messages: Sequence[Mapping[str, Any]]) -> bytes:
    """Messages as bytes that do not depend on where a history is divided."""
    return json.dumps(messages)[1:-1].encode() + b", "


def _time(value: Any) -> float:
    try:
        return in_utc(value).timestamp()
    except (TypeError, ValueError, OverflowError) as exc:
        message = f"X-User-Since is {str(value)[:80]!r}; give a time like 2027-01-31T12:00:00Z."
        raise ApiError(400, message, "invalid_value", "metadata") from exc


def _metadata(payload: Mapping[str, Any], name: str) -> Any:
    metadata = payload.get("metadata")
    return metadata.get(name) if isinstance(metadata, Mapping) else None


def _first_text(*candidates: Any) -> str | None:
    return next((c for c in candidates if isinstance(c, str) and c), None)


def _beginning(messages: list[Mapping[str, Any]]) -> list[Any]:
    """The messages up to and including the first user message."""
    first = next((i for i, m in enumerate(messages) if m["role"] == "user"), len(messages) - 1)
    return [[message["role"], message.get("content")] for message in messages[: first + 1]]


def _digest(value: Any) -> str:
    return hashlib.blake2b(json.dumps(value).encode(), digest_size=16).hexdigest()
