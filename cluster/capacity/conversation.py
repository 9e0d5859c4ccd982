"""The prompt tokens that a conversation costs each component of a blend: pure functions.

A component that answers again lacks what was said since it last answered: g turns ago, that is
g user messages of U tokens and g - 1 responses of others of R tokens, g·U + (g-1)·R in all. In its
first response g is the turn itself, because everything is new to it. A component that is drawn
with probability w in every turn has a mean gap of (1 - (1-w)^t) / w at turn t. A prefix cache keeps
whole blocks, so that half a block is computed again on average.

With look-ahead all of it but the last user message is computed before the request, and a reading
after the last turn is in vain. With seats, a component has k of a conversation's m seats with the
probability of a binomial distribution, and its responses lie in such a conversation in proportion
to k; there w is k / m.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from blended.config import BlendConfig, VllmComponent
from blended.router.selection import normalise
from cluster.capacity.queueing import Lengths

_BLOCK = 16  # vLLM's own


@dataclass(frozen=True)
class Talk:
    """A conversation, in tokens of a user's message and of a response, and its turns."""

    user: float
    response: float
    turns: int


def lengths(blend: BlendConfig, talk: Talk) -> dict[str, Lengths]:
    """The mean lengths of a component's requests, for every component that is drawn.

    The prompt is what is computed between a request and its first token; `ahead` is what is
    computed while the user reads.
    """
    selection = blend.selection
    chances = normalise(blend.weights).by_component
    found = {}
    for component in blend.components:
        if not (chance := chances[component.id]):
            continue
        block = _block(component) if isinstance(component, VllmComponent) else 0
        shares = list(_shares(chance, selection.per_conversation))
        total = math.fsum(part * _uncached(talk, share, block) for part, share in shares)
        found[component.id] = Lengths(total, talk.response)
        if selection.look_ahead:
            at_once = talk.user + block / 2 * (talk.turns - 1) / talk.turns
            unused = math.fsum(part * _after_last(talk, share) for part, share in shares)
            ahead = total - at_once + unused / talk.turns
            found[component.id] = Lengths(at_once, talk.response, ahead)
    return found


def _uncached(talk: Talk, share: float, block: int) -> float:
    """The mean over the turns of a conversation in which a component is drawn with `share`."""
    gap = math.fsum(_gap(share, turn) for turn in range(1, talk.turns + 1)) / talk.turns
    again = block / 2 * (talk.turns - 1) / talk.turns
    return gap * talk.user + (gap - 1) * talk.response + again


def _after_last(talk: Talk, share: float) -> float:
    """What a component reads after the last turn, for a message that never comes."""
    return (_gap(share, talk.turns + 1) - 1) * (talk.user + talk.response)


def _gap(share: float, turn: int) -> float:
    return (1 - (1 - share) ** turn) / share


def _shares(chance: float, seats: int | None) -> Iterator[tuple[float, float]]:
    """The share of a component in a conversation, each with the part of its responses there."""
    if seats is None:
        yield 1.0, chance
        return
    for taken in range(1, seats + 1):
        odds = math.comb(seats, taken) * chance**taken * (1 - chance) ** (seats - taken)
        yield odds * taken / (seats * chance), taken / seats


def _block(component: VllmComponent) -> int:
    block = component.engine.args.get("block_size", _BLOCK)
    return block if isinstance(block, int) else _BLOCK
