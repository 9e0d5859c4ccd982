"""The pairs of a journal with the scores that a reward model gives them, as arrays."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blended.experiments.moments import Moments
from blended.learning.estimates import Value, ratio
from blended.reward.examples import Pair
from blended.reward.features import length

_WEEK_S = 7 * 86_400.0

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Scored:
    """Pairs of a journal with their scores, all of shape (n,); users and components as numbers.

    `component` is that of both answers, or -1 where there are two. `gain` is the score of the kept
    answer minus that of the rejected one, `longer` the same of words, `mean` the mean score.
    """

    user: NDArray[np.int64]
    component: NDArray[np.int64]
    components: tuple[str, ...]
    gain: Floats
    longer: Floats
    mean: Floats
    week: NDArray[np.int64]

    @classmethod
    def of(cls, pairs: Sequence[Pair], scores: NDArray[Any]) -> "Scored":
        """From the scores of the rejected and the kept answers, shape (n, 2)."""
        _, user = np.unique([pair.user for pair in pairs], return_inverse=True)
        components = tuple(sorted({pair.kept.component for pair in pairs}))
        both = [components.index(p.kept.component) if p.is_within else -1 for p in pairs]
        words = [[length(answer.text) for answer in (p.rejected, p.kept)] for p in pairs]
        at = np.array([pair.at for pair in pairs])
        return cls(
            user,
            np.array(both, dtype=np.int64),
            components,
            np.asarray(scores[:, 1] - scores[:, 0], dtype=float),
            np.array([kept - rejected for rejected, kept in words], dtype=float),
            np.asarray(scores.mean(axis=1), dtype=float),
            ((at - at.min()) // _WEEK_S).astype(np.int64),
        )

    @property
    def won(self) -> Floats:
        """1 where the kept answer has the higher score, 0 where the other has, 1/2 for a tie."""
        return (np.sign(self.gain) + 1) / 2

    def mean_of(self, values: Floats, rows: NDArray[np.bool_]) -> Value:
        """The mean of the chosen pairs' values, with users as clusters."""
        users, place = np.unique(self.user[rows], return_inverse=True)
        sums = np.bincount(place, values[rows], len(users)), np.bincount(place, None, len(users))
        return ratio(Moments.of(("sum", "pairs"), np.column_stack(sums)), "sum", "pairs")
