"""Look-ahead: the next turn's component is drawn when a response ends, and reads the conversation.

The draw depends on nothing that the user is about to say, so it can be made before. Its nonce waits
in the shared store for the first request of that conversation and turn; a retry or an edit finds
none and gets a new one. A request is drawn from the distribution of its own moment, so that
look-ahead changes neither the distribution nor the independence of draws. Where a policy draws,
the component that reads is drawn by what it knows without the user's message.
"""

import asyncio
import logging
import secrets
from collections.abc import Mapping
from dataclasses import replace

import aiohttp

from blended.router import policies
from blended.router.availability import Availability
from blended.router.body import aside
from blended.router.failover import choose
from blended.router.inquiry import CHAT, Ahead, Inquiry
from blended.router.readers import Count, Readers
from blended.router.response import Ending
from blended.router.shared_store import SharedStore
from blended.router.texts import texts

logger = logging.getLogger(__name__)

# A user who takes longer gets a new draw; an engine's prefix cache rarely lasts as long.
_KEPT_S = 900
# The ends after which the user speaks next: after a call of tools their results come.
_ENDS = ("stop", "length")


class LookAhead:
    """The draws made ahead by this router replica, and those that it finds in the store.

    What it does after a response is no part of the response: no record, limit, usage or arrival
    comes of it, no error of it reaches a client, and nothing is repeated.
    """

    def __init__(self, availability: Availability, count: Count) -> None:
        self._availability, self._count = availability, count
        self._readers = Readers(availability, count)
        self._tasks = dict[str, asyncio.Task[None]]()

    @property
    def under_way(self) -> int:
        """The number of turns that are being prepared."""
        return len(self._tasks)

    async def taken(
        self, store: SharedStore, inquiry: Inquiry, headers: Mapping[str, str]
    ) -> Inquiry:
        """An admitted request with the draw that waits for it, which is gone from then on.

        Reading that has not ended by now ends: the request reads the rest itself.
        """
        is_first = inquiry.turn.number < 2
        if is_first or not looks_ahead(inquiry) or "idempotency-key" in headers:
            return inquiry
        name = _name(inquiry)
        self._cut(name)
        found = await store.ask(lambda: _take(store, name))
        if found is None:
            self._count(None, "no_store", 1)
            return inquiry
        [ahead] = found
        return inquiry if ahead is None else replace(inquiry, nonce=ahead.nonce, ahead=ahead)

    def begin(self, session: aiohttp.ClientSession, store: SharedStore, ending: Ending) -> None:
        """Draw for the turn after a response of the blend that ended well, in the background.

        Another response to the same turn, to a retry or an edit, ends what the one before began.
        """
        inquiry, turn, choice = ending.inquiry, ending.inquiry.turn, ending.attempts.choice
        if not looks_ahead(inquiry) or not _continues(ending) or choice is None:
            return
        after = replace(turn, number=turn.number + 1)
        drawn = replace(inquiry, turn=after, nonce=secrets.token_hex(16), ahead=None)
        drawn = policies.expected(drawn, choice.component)
        name = _name(drawn)
        self._cut(name)
        task = asyncio.create_task(self._prepare(session, store, ending, drawn))
        self._tasks[name] = task
        task.add_done_callback(lambda done: self._forget(name, done))

    def used(self, ending: Ending) -> None:
        """Count whether the component that had read a conversation has answered in it."""
        ahead, choice = ending.inquiry.ahead, ending.attempts.choice
        if ahead is not None and ahead.component is not None:
            is_used = choice is not None and choice.component == ahead.component
            self._count(ahead.component, "used" if is_used else "unused", 1)

    async def close(self) -> None:
        """End what is under way."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _prepare(
        self,
        session: aiohttp.ClientSession,
        store: SharedStore,
        ending: Ending,
        drawn: Inquiry,
    ) -> None:
        chosen = self._reader(ending, drawn)
        with self._readers.occupied(chosen):
            said = await _said(ending) if chosen else ""
            reader = chosen if said else None
            is_kept = await store.ask(lambda: _put(store, drawn, reader))
            if is_kept is None:
                self._count(None, "no_store", 1)
            elif reader is not None:
                await self._readers.read(session, drawn, reader, said, ending.attempts.trace)

    def _reader(self, ending: Ending, drawn: Inquiry) -> str | None:
        """The component that is to read; None if it knows the conversation, or has no time."""
        out = self._availability.unavailable
        choice = choose(drawn.distribution, out, (), drawn.uniform, drawn.reserve)
        answered = ending.attempts.choice
        if choice is None or answered is None or choice.component == answered.component:
            return None
        is_ready = self._readers.is_ready(drawn.blend.upstreams[choice.component])
        return choice.component if is_ready else None

    def _cut(self, name: str) -> None:
        if (task := self._tasks.get(name)) is not None:
            task.cancel()

    def _forget(self, name: str, done: asyncio.Task[None]) -> None:
        if self._tasks.get(name) is done:
            del self._tasks[name]
        if not done.cancelled() and (exc := done.exception()) is not None:
            logger.error("a turn could not be prepared", exc_info=exc)


def looks_ahead(inquiry: Inquiry) -> bool:
    """Whether turns of this conversation are drawn ahead: some component may read it."""
    config = inquiry.blend.config
    if not config.selection.look_ahead or inquiry.path != CHAT:
        return False
    is_of_blend = inquiry.payload.get("model") == config.name
    return is_of_blend and any(upstream.reads_ahead for upstream in inquiry.possible)


def _continues(ending: Ending) -> bool:
    """Whether a response ended in a way after which the user speaks next.

    One that goes on with the last message of its history is no message of its own.
    """
    is_own = not ending.inquiry.payload.get("continue_final_message")
    return is_own and ending.state == "finished" and ending.passage.finish_reason in _ENDS


async def _said(ending: Ending) -> str:
    """The text of a response; the first if it has several choices."""
    kept = ending.passage.kept
    return next(iter(await aside(sum(map(len, kept)), lambda: texts(kept))), "")


def _name(inquiry: Inquiry) -> str:
    turn = inquiry.turn
    return f"ahead/{inquiry.blend.config.name}/{turn.conversation}/{turn.number}"


async def _put(store: SharedStore, drawn: Inquiry, reader: str | None) -> bool:
    await store.put(_name(drawn), f"{drawn.nonce} {reader or ''}", _KEPT_S)
    return True


async def _take(store: SharedStore, name: str) -> tuple[Ahead | None]:
    """A tuple, because None alone would mean that the store does not answer."""
    value = await store.take(name)
    if value is None:
        return (None,)
    nonce, _, component = value.partition(" ")
    return (Ahead(nonce, component or None),)
