"""Shares between 0 and 1, and their differences: intervals that hold at 0 and at 1 as well.

The log of a share says nothing where nobody or everybody counts. Jeffreys' interval does, with the
number of independent trials that the users' answers are worth.
"""

import math
from dataclasses import dataclass

from scipy import optimize, special

from blended.experiments.moments import Moments
from blended.experiments.statistics import ALPHA, p_beyond, reach

# With fewer effective users behind a count its variance is not known: then each user is one trial.
FEWEST_USERS = 20
_FARTHEST = 1000.0


@dataclass(frozen=True)
class Share:
    """The share of one arm, between 0 and 1, and how many independent trials it is worth."""

    value: float
    trials: float

    def bounds(self, z: float) -> tuple[float, float]:
        """Jeffreys' interval (Brown, Cai and DasGupta 2001); each end misses the truth as often as
        a normal variable is beyond `z`."""
        tail, hits = float(special.ndtr(-z)), self.value * self.trials
        low, high = special.betaincinv(hits + 0.5, self.trials - hits + 0.5, [tail, 1 - tail])
        value = self.value
        return min(value, low) if value > 0 else 0.0, max(value, high) if value < 1 else 1.0


@dataclass(frozen=True)
class ShareDifference:
    """The share of `test` less that of `control`, over so many users."""

    test: Share
    control: Share
    users: int

    @property
    def value(self) -> float:
        """The difference; 0.01 is one point."""
        return self.test.value - self.control.value

    def interval(self, alpha: float = ALPHA, always_valid: bool = False) -> tuple[float, float]:
        """The interval that misses the truth with probability `alpha`."""
        return self._reaching(reach(self.users, self._freedom, alpha, always_valid))

    def p_value(self, always_valid: bool = False) -> float:
        """The two-sided p value of no difference: the least alpha whose interval leaves out 0."""

        def end(z: float) -> float:
            """How far 0 lies outside of the interval."""
            low, high = self._reaching(z)
            return low if self.value > 0 else -high

        if end(0.0) <= 0:
            return 1.0
        z = _FARTHEST if end(_FARTHEST) > 0 else float(optimize.brentq(end, 0.0, _FARTHEST))
        return p_beyond(z, self.users, self._freedom, always_valid)

    @property
    def _freedom(self) -> float:
        return max(1.0, min(self.test.trials, self.control.trials) - 1)

    def _reaching(self, z: float) -> tuple[float, float]:
        """Newcombe's interval (1998, method 10): the square-and-add of both arms' intervals."""
        (low, high), (lowest, highest) = self.test.bounds(z), self.control.bounds(z)
        test, control = self.test.value, self.control.value
        return (
            self.value - math.hypot(test - low, highest - control),
            self.value + math.hypot(high - test, control - lowest),
        )


def share(arm: Moments, part: str, whole: str) -> Share:
    """The share that `part` has of `whole`, of which every user has 0 to all.

    The trials are those of independent answers with the same variance (Korn and Graubard 1998).
    """
    value = arm.total(part) / arm.total(whole)
    if min(counted(arm, part, whole)) < FEWEST_USERS:
        return Share(value, arm.effective_users(whole))
    contrast = {part: 1.0, whole: -1.0}
    variance = value**2 * arm.covariance(contrast, contrast)
    return Share(value, value * (1 - value) / variance)


def counted(arm: Moments, part: str, whole: str) -> tuple[float, float]:
    """The effective numbers of users behind the part and behind the rest of the whole."""
    both = arm.less(whole, part)
    return both.effective_users("part"), both.effective_users("rest")


def difference_of_shares(test: Moments, control: Moments, part: str, whole: str) -> ShareDifference:
    """The difference of a share between `test` and `control`."""
    shares = share(test, part, whole), share(control, part, whole)
    return ShareDifference(*shares, test.n + control.n)
