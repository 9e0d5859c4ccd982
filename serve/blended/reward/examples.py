"""What a reward model learns from: answers that users had drawn again, and that they went on from.

A pair is two answers to one history: the user rejected the first and kept the second. Nobody has
labelled anything. A point is one answer that was liked or not, by a thumb or by what came next.
"""

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

FOLDS = 5
# Users of this fold are in no training set of a model that is kept.
HELD_OUT = 0

Sign = Literal["two_more", "thumb"]


@dataclass(frozen=True)
class Answer:
    """A transcript that ends with a response, and the component that gave it."""

    text: str
    component: str


@dataclass(frozen=True)
class Pair:
    """Two answers to one history of a user, by hash; `at` is when the first began."""

    user: str
    at: float
    rejected: Answer
    kept: Answer

    @property
    def is_within(self) -> bool:
        """Whether one component gave both."""
        return self.rejected.component == self.kept.component


@dataclass(frozen=True)
class Point:
    """One answer, and whether `sign` says that it was good."""

    user: str
    at: float
    answer: Answer
    sign: Sign
    is_good: bool


@dataclass(frozen=True)
class Examples:
    """What the journal has; `retries` is the number of retries that the pairs come from."""

    pairs: tuple[Pair, ...]
    points: tuple[Point, ...]
    retries: int

    def of(self, folds: Iterable[int]) -> "Examples":
        """Those of the users in some folds."""
        wanted = set(folds)
        return Examples(
            tuple(pair for pair in self.pairs if fold(pair.user) in wanted),
            tuple(point for point in self.points if fold(point.user) in wanted),
            self.retries,
        )

    @property
    def users(self) -> int:
        """The users of the pairs."""
        return len({pair.user for pair in self.pairs})

    def answers(self) -> Iterator[Answer]:
        """Those of all pairs, the rejected one first, and then those of all points."""
        for pair in self.pairs:
            yield from (pair.rejected, pair.kept)
        yield from (point.answer for point in self.points)


def fold(user: str) -> int:
    """The fold of a user, from 0 to FOLDS - 1: all responses of a user lie in one."""
    return zlib.crc32(user.encode("utf-8", "replace")) % FOLDS
