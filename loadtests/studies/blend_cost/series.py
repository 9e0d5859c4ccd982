"""Requests and their responses: conversations of fixed lengths, in series that take turns."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Protocol, TypeVar

# Messages about as long as people's, and equally long. They rotate, so that prompts end anywhere in
# a block.
MESSAGES = (
    "Hello there! My name is Robin and I am happy to talk to you.",
    "I love hiking in the mountains when the summer is here.",
    "What should I eat tonight, now that it is raining outside?",
    "I had a long day at work and I feel a little tired.",
    "Tell me about a good book that I can read this evening.",
    "My cat sleeps all day long, and it makes me smile.",
    "Do you like music, and what do you like about it most?",
    "Thank you for talking to me, it was a very nice evening!",
)


@dataclass(frozen=True)
class Series:
    """Conversations of one kind: with one component, or with the blend (None).

    With n `caches` the turns of a conversation use n prefix caches in rotation, so that each lacks
    the text of n turns: a price like the blend's, at lengths like the single component's.
    """

    component: str | None
    caches: int = 1

    def __str__(self) -> str:
        name = self.component or "blend"
        return name if self.caches == 1 else f"{name}, {self.caches} caches in rotation"


@dataclass(frozen=True)
class ResponseCost:
    """One response: its turn counts from 1; tokens of its prompt, of those cached, and its own."""

    component: str
    turn: int
    prompt: int
    cached: int
    tokens: int
    engine_s: float

    @property
    def uncached(self) -> int:
        """The prompt tokens that had to be computed: its prefill."""
        return self.prompt - self.cached


BLEND = Series(None)

Conversation = Sequence[ResponseCost]
Round = Mapping[Series, Sequence[Conversation]]


def series_of(components: Sequence[str]) -> list[Series]:
    """The blend, each component alone, and each with as many caches as there are components."""
    rotating = [Series(component, len(components)) for component in components]
    return [BLEND, *map(Series, components), *rotating]


def groups_of(components: Sequence[str]) -> list[Series]:
    """The series of a round's groups: the blend's as often as those of all single components."""
    return [*[BLEND] * (len(components) - 1), *series_of(components)]


class Held(Protocol):
    """A group of conversations that are held at once, turn by turn."""

    series: Series
    conversations: list[list[ResponseCost]]


G = TypeVar("G", bound=Held)


def in_turns(
    groups: Sequence[G], turns: int, shuffled: Random, take: Callable[[G, int], None]
) -> None:
    """Have every group take each turn, from 1, in a new order: disturbances affect all alike."""
    for turn in range(1, turns + 1):
        for group in shuffled.sample(groups, len(groups)):
            take(group, turn)


def gathered(groups: Iterable[Held]) -> Round:
    """A round from its groups: the conversations of all groups of a series, together."""
    found = dict[Series, list[Conversation]]()
    for group in groups:
        found.setdefault(group.series, []).extend(group.conversations)
    return found


def responses(rounds: Sequence[Round], series: Series) -> list[ResponseCost]:
    """All of a series."""
    return [response for one in rounds for talk in one[series] for response in talk]


def user_message(conversation: int, turn: int) -> str:
    """The user's message in a turn, from 1; the same in every run."""
    return MESSAGES[(conversation + turn) % len(MESSAGES)]
