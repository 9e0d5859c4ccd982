"""What the router knows of a conversation beyond a request: who answered last, and when.

It is kept in the shared store for as long as a session may pause. The record of a response has what
was known at its draw, so that a policy is fitted to what the router will know.
"""

import hashlib
import json

from blended.learning import features
from blended.learning.features import Facts
from blended.router.inquiry import CHAT, Inquiry
from blended.router.response import Ending
from blended.router.shared_store import SharedStore

# As long as a session may pause by default; a user who takes longer begins anew.
_KEPT_S = 1800


def recalls(inquiry: Inquiry) -> bool:
    """Whether what is known of a request's conversation is looked up and kept."""
    config = inquiry.blend.config
    is_of_blend = inquiry.payload.get("model") == config.name
    return config.recalls and is_of_blend and inquiry.path == CHAT


async def facts(
    store: SharedStore, inquiry: Inquiry, spoken: list[str], is_repeatable: bool
) -> Facts:
    """What is known of a request, whose last message has the words `spoken`.

    A request that may be repeated with the same draw is not told from its repetition.
    """
    turn, words = inquiry.turn, len(spoken)
    if is_repeatable or not turn.is_one_persons:
        return Facts(turn.number, words)
    found = await store.ask(lambda: _get(store, _name(inquiry)))
    try:
        return _recalled(turn.number, words, found[0] if found else None, inquiry.started_at)
    except (ValueError, LookupError, TypeError):  # another version of this router wrote it
        return Facts(turn.number, words)


async def remember(store: SharedStore, ending: Ending) -> None:
    """Keep what the next request may be told of a response that was begun."""
    inquiry, choice, timing = ending.inquiry, ending.attempts.choice, ending.attempts.timing
    is_said = choice is not None and ending.state in ("finished", "cancelled")
    if choice is None or not is_said or not inquiry.turn.is_one_persons or not recalls(inquiry):
        return
    last = {
        "turn": inquiry.turn.number,
        "component": choice.component,
        "before": inquiry.facts.before if inquiry.facts else None,
        "ended_at": round(timing.started_at + timing.e2e_s, 3),
    }
    await store.ask(lambda: _put(store, _name(inquiry), json.dumps(last)))


def words_of(inquiry: Inquiry) -> list[str]:
    """The words of the user's last message."""
    return features.words(features.last_message(inquiry.payload["messages"]))


def _recalled(turn: int, words: int, kept: str | None, at: float) -> Facts:
    last = None if kept is None else json.loads(kept)
    if last is None or last["turn"] not in (turn, turn - 1):
        return Facts(turn, words)
    is_retried = last["turn"] == turn
    before = last["before"] if is_retried else last["component"]
    # Clocks of two nodes differ a little.
    pause_s = max(0.0, round(at - last["ended_at"], 3))
    return Facts(turn, words, before, pause_s, is_retried)


def _name(inquiry: Inquiry) -> str:
    """Conversations that are only derived are told apart by their users."""
    turn = inquiry.turn
    whose = [turn.conversation, "" if turn.is_named else turn.user or ""]
    key = hashlib.blake2b(json.dumps(whose).encode(), digest_size=16).hexdigest()
    return f"last/{inquiry.blend.config.name}/{key}"


async def _put(store: SharedStore, name: str, value: str) -> bool:
    await store.put(name, value, _KEPT_S)
    return True


async def _get(store: SharedStore, name: str) -> tuple[str | None]:
    """A tuple, because None alone would mean that the store does not answer."""
    return (await store.get(name),)
