"""A checked request of a client, with everything on which the choice of a component depends."""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property

from blended.config import Capability
from blended.experiments.assignment import Assignment
from blended.learning.features import Facts
from blended.router import requests, selection
from blended.router.blend import Blend, Upstream
from blended.router.fields import CHAT_FIELDS, COMPLETION_FIELDS
from blended.router.selection import Draw, SelectionDistribution
from blended.router.turns import Turn

CHAT, COMPLETIONS = "/chat/completions", "/completions"
FIELDS = {CHAT: CHAT_FIELDS, COMPLETIONS: COMPLETION_FIELDS}


@dataclass(frozen=True)
class Ahead:
    """A draw that was made ahead of its request: its nonce, and the component that has read."""

    nonce: str
    component: str | None


def seated(
    distribution: SelectionDistribution, count: int, seed: str, turn: Turn
) -> SelectionDistribution:
    """The shares of the seats of a conversation: the same for all turns with that distribution.

    Conversations that are only derived are told apart by their users, if these are named.
    """
    whose = [turn.conversation, "" if turn.is_named else turn.user or ""]
    key = hashlib.blake2b(json.dumps(whose).encode(), digest_size=16).hexdigest()
    return selection.seats(
        distribution, count, lambda seat: selection.uniform(seed, key, 0, f"seat/{seat}")
    )


@dataclass(frozen=True)
class Inquiry:
    """A checked request of a client, with everything on which the choice of a component depends.

    `nonce` keys the draw: a new one for each request, a repeated one, or that which was drawn
    `ahead`. `user` is the user that the client named, by their hash in the journal, and
    `assignment` the user's arm if it decides this request. `needs` are the capabilities that it
    needs. `distribution` is that of the arm or of the blend among the components that have them, by
    the seats of the conversation if it has any, or gives probability 1 to the component that the
    client named; `reserve` is the same without seats. Both are those of `policy`, a name and
    version, where one draws; `facts` are what it may know, if that is kept. `request_id` comes
    from the client or the proxy in front; `response_id` identifies the response to the client.
    `prompt_tokens` is an estimate from the request; `size_bytes` is the size of its body. The
    request came at `started_at`, in Unix seconds.
    """

    blend: Blend
    path: str
    payload: requests.Payload
    key_name: str
    turn: Turn
    nonce: str
    ahead: Ahead | None
    request_id: str
    response_id: str
    size_bytes: int
    prompt_tokens: int
    user: str | None
    assignment: Assignment | None
    needs: tuple[Capability, ...]
    distribution: SelectionDistribution
    reserve: SelectionDistribution
    started_at: float
    facts: Facts | None = None
    policy: str | None = None

    def uniform(self, k: int) -> float:
        """The number that decides the k-th draw for this request."""
        nonce = self.nonce if k == 0 else f"{self.nonce}/{k}"
        seed = self.blend.config.selection.seed
        return selection.uniform(seed, self.turn.conversation, self.turn.number, nonce)

    @cached_property
    def possible(self) -> list[Upstream]:
        """The components that may answer this request."""
        chances = self.reserve.by_component
        return [self.blend.upstreams[name] for name, chance in chances.items() if chance > 0]

    @cached_property
    def first_draw(self) -> Draw:
        """The draw over the whole distribution, whether or not that component answered."""
        return selection.draw(self.distribution, self.uniform(0))
