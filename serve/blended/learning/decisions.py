"""What users did after each kind of draw, as arrays."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from blended.experiments.moments import Array
from blended.learning.drawing import Drawing
from blended.learning.rewards import SUMS

# Why responses are no decisions, in the order in which the reasons are looked for.
REASONS = {
    "named": "for which only one component could be drawn (chosen by the client or the arm, or the "
    "only one that can)",
    "repeated": "to a repeated request, whose draw is repeated",
    "unseated": "for which components outside of the conversation's seats were asked",
}

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Decisions:
    """The responses that were drawn among several components, summed by user and kind of draw.

    Of m rows: `user` (m,) numbers the `users` users, `drawing` (m,) indexes `drawings`, and `sums`
    (m, len(SUMS)). `left_out` is the number of other responses by reason.
    """

    users: int
    user: Ints
    drawings: tuple[Drawing, ...]
    drawing: Ints
    sums: Array
    left_out: Mapping[str, int]

    def of(self, is_wanted: Callable[[Drawing], bool]) -> "Decisions":
        """Those of some kinds of draws, and their users; these themselves if it is all of them."""
        wanted = np.array([is_wanted(drawing) for drawing in self.drawings], dtype=bool)
        if wanted.all():
            return self
        rows = wanted[self.drawing]
        found, user = np.unique(self.user[rows], return_inverse=True)
        kept, drawing = np.unique(self.drawing[rows], return_inverse=True)
        return replace(
            self,
            users=len(found),
            user=user,
            drawings=tuple(self.drawings[place] for place in kept),
            drawing=drawing,
            sums=self.sums[rows],
        )

    @property
    def components(self) -> tuple[str, ...]:
        """The components that could be drawn, by name."""
        return tuple(sorted({name for d in self.drawings for name in d.probabilities}))

    def column(self, name: str) -> Array:
        """A column of the sums, shape (m,)."""
        return self.sums[:, SUMS.index(name)]

    def responses(self) -> int:
        """The number of responses."""
        return int(self.column("responses").sum())

    def by_user(self, values: Array) -> Array:
        """The sums of a column of m rows over each user, shape (users,)."""
        return np.bincount(self.user, values, minlength=self.users).astype(float)
