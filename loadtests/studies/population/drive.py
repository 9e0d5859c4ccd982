"""Simulated users at a real API: an open loop on the wall clock, of bounded concurrency."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import aiohttp

from blended import sse

Message = dict[str, Any]

# Fewer than one engine runs at once, because an arm may have a single engine.
_AT_ONCE = 48
_TIMEOUT_S = 60.0
_MAX_TOKENS = 16
_WORDS = (
    "Hello! How was your day?",
    "I went for a walk by the river.",
    "What would you have done?",
    "Tell me more about that.",
    "That reminds me of last summer.",
    "Do you think it will rain?",
)


@dataclass(frozen=True)
class UserRequest:
    """One request, due so many seconds after day 0 began.

    `is_first` begins the conversation; `again` asks for another response to the previous request.
    """

    due_s: float
    conversation: str
    is_first: bool
    again: bool


@dataclass(frozen=True)
class User:
    """A user by the name that the API gets, and the user's requests, by time."""

    name: str
    asks: Sequence[UserRequest]


@dataclass(frozen=True)
class BlendApi:
    """The API at `url`, without a path, its `key`, and the blend's name there."""

    url: str
    key: str
    model: str


@dataclass
class RequestCounts:
    """The outcome of the requests: the delay of each in seconds, and the causes of failures."""

    late_s: list[float] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)

    @property
    def requests(self) -> int:
        """How many were sent."""
        return len(self.late_s)

    @property
    def finished(self) -> int:
        """How many were answered to the end."""
        return self.requests - self.failures.total()


async def drive(
    target: BlendApi,
    users: Sequence[User],
    began_at: float,
    on_request: Callable[[], None] = lambda: None,
) -> RequestCounts:
    """Send all users' requests when they are due, from `began_at` in Unix seconds to the last end.

    A failed request is counted and not repeated. Users wait for a response before their next
    request, so that one delay may cause others.
    """
    tally = RequestCounts()
    headers = {"authorization": f"Bearer {target.key}"}
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(
        target.url, headers=headers, timeout=timeout, connector=connector
    ) as session:
        room = _Room(session, target.model, began_at, tally, on_request)
        async with asyncio.TaskGroup() as group:
            for user in users:
                group.create_task(room.converse(user))
    return tally


@dataclass(frozen=True)
class _Room:
    """The state that all users share."""

    session: aiohttp.ClientSession
    model: str
    began_at: float
    tally: RequestCounts
    on_request: Callable[[], None]
    places: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE))

    async def converse(self, user: User) -> None:
        """Send all requests of a user, one after the other."""
        asked, reply = list[Message](), None
        for ask in user.asks:
            due_at = self.began_at + ask.due_s
            await asyncio.sleep(max(0.0, due_at - time.time()))
            asked = messages(ask, asked, reply)
            headers = self._headers(user, ask)
            async with self.places:
                self.tally.late_s.append(max(0.0, time.time() - due_at))
                answer = await self._answer(asked, headers)
            # A user who gets no new response keeps the previous one.
            reply = reply if answer is None and ask.again else answer
            self.on_request()

    def _headers(self, user: User, ask: UserRequest) -> Mapping[str, str]:
        since = datetime.fromtimestamp(self.began_at + user.asks[0].due_s, UTC)
        return {
            "X-User-ID": user.name,
            "X-User-Since": since.isoformat(),
            "X-Conversation-ID": ask.conversation,
        }

    async def _answer(self, asked: list[Message], headers: Mapping[str, str]) -> str | None:
        """The text of a response; None for a failure, which is counted."""
        body = {"model": self.model, "messages": asked, "max_tokens": _MAX_TOKENS, "stream": True}
        post = self.session.post("/v1/chat/completions", json=body, headers=headers)
        try:
            async with post as response:
                failure = None if response.status == 200 else f"HTTP {response.status}"
                text = None if failure else reply_of(await response.read())
        except (aiohttp.ClientError, TimeoutError) as exc:
            failure, text = type(exc).__name__, None
        if text is None:
            self.tally.failures[failure or "broken off"] += 1
        return text


def messages(ask: UserRequest, asked: Sequence[Message], reply: str | None) -> list[Message]:
    """The history of a request, after the one `asked` before and the reply to it.

    A message without an answer is sent again.
    """
    if ask.again:
        return list(asked)
    if ask.is_first:
        history = list[Message]()
    elif reply is None:
        history = list(asked[:-1])
    else:
        history = [*asked, {"role": "assistant", "content": reply}]
    return [*history, {"role": "user", "content": _WORDS[len(history) // 2 % len(_WORDS)]}]


def reply_of(stream: bytes) -> str | None:
    """The text of a stream of events; None if it broke off."""
    events = [event.data for event in sse.events([stream])]
    if not events or events[-1] != sse.DONE:
        return None
    choices = [choice for event in events[:-1] for choice in json.loads(event).get("choices", ())]
    return "".join(choice["delta"].get("content") or "" for choice in choices)
