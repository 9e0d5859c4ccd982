"""Simulated users on their first day, whose return depends on the components: pure NumPy.

A user writes some messages, each answered by a drawn component. A component moves the user to go on
and, with each of its responses, to come back the next day. So the draws also change how many
responses there are, which is what a regression on shares does not see.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from blended.learning.gradient import OUTCOMES, FirstDays

Floats = npt.NDArray[np.float64]

LONGEST = 12
_GOES_ON, _RETURNS = 0.8, -1.4


@dataclass(frozen=True)
class Newcomers:
    """N components: how they move users to go on and to come back, on the logit scale."""

    mix: tuple[float, ...] = (1 / 3, 1 / 3, 1 / 3)
    stays: tuple[float, ...] = (-0.5, 0.0, 0.5)
    returns: tuple[float, ...] = (-0.02, 0.02, 0.1)
    habit: float = 0.8

    def come(self, users: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """Responses of users by component, (users, N), and how likely each user comes back."""
        habit = rng.normal(0, self.habit, users)
        counts = np.zeros((users, len(self.mix)))
        bounds, there = np.cumsum(self.mix), np.ones(users, dtype=np.bool_)
        for _ in range(LONGEST):
            drawn = np.minimum(np.searchsorted(bounds, rng.random(users), "right"), len(bounds) - 1)
            counts[there, drawn[there]] += 1
            goes = _logistic(_GOES_ON + habit + np.array(self.stays)[drawn])
            there &= rng.random(users) < goes
        return counts, _logistic(_RETURNS + habit / 2 + counts @ np.array(self.returns))

    def day(self, users: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """Responses of users by component, (users, N), and who came back the next day (users,)."""
        counts, likely = self.come(users, rng)
        return counts, (rng.random(users) < likely).astype(float)

    def first_days(self, counts: Floats, came: Floats) -> FirstDays:
        """As the journal would give them; only the next day is known."""
        scores = counts / np.array(self.mix) - counts.sum(axis=1, keepdims=True)
        names = tuple("abcdefgh"[: len(self.mix)])
        results = {outcome.name: came for outcome in OUTCOMES}
        known = {o.name: np.full(len(came), float(o.name == "retention_1")) for o in OUTCOMES}
        return FirstDays(names, scores, results, known)

    def truth(self, users: int, seed: int, step: float = 0.05) -> Floats:
        """The gradient by finite differences: the same users, at mixes on either side, (N,)."""
        found = []
        for place in range(len(self.mix)):
            toward = np.eye(len(self.mix))[place] - np.array(self.mix)
            up, down = (
                replace(self, mix=tuple(np.array(self.mix) + sign * step * toward))
                .come(users, np.random.default_rng(seed))[1]
                .mean()
                for sign in (1, -1)
            )
            found.append((up - down) / (2 * step))
        return np.array(found)


def _logistic(at: Floats) -> Floats:
    value: Floats = 1 / (1 + np.exp(-at))
    return value


def by_shares(counts: Floats, came: Floats, mix: tuple[float, ...]) -> tuple[Floats, Floats]:
    """What a regression on the components' shares says instead: the wrong way, for comparison.

    Least squares of coming back on the shares of a user's responses: the rates toward each of N
    components, (N,), and their standard errors.
    """
    shares = counts / counts.sum(axis=1, keepdims=True)
    design = np.column_stack([np.ones(len(came)), shares[:, 1:]])
    inverse = np.linalg.inv(design.T @ design)
    slopes = inverse @ design.T @ came
    errors = came - design @ slopes
    spread = inverse @ (design.T * errors**2) @ design @ inverse
    toward = (np.eye(len(mix)) - np.array(mix))[:, 1:]
    variance = np.einsum("ki,ij,kj->k", toward, spread[1:, 1:], toward)
    return toward @ slopes[1:], np.sqrt(variance)
