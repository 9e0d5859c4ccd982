"""Estimates on the scale of what is measured, from the moments of users.

An estimate is a smooth function of means over users; its variance follows from its slopes, by the
delta method, with users as the unit. Unlike a contrast of logarithms it takes sums that are 0.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from blended.experiments.moments import Moments
from blended.experiments.statistics import ALPHA, Estimate

# With fewer users a mean is not normally distributed.
FEWEST_USERS = 20

Slopes = Mapping[str, float]


@dataclass(frozen=True)
class Value:
    """An estimate and its standard error; `slopes` are its derivatives by the columns' means.

    `users` are all users, and `effective` is their effective number, as if all had equal weights:
    the smallest of any sum behind the estimate.
    """

    value: float
    se: float
    users: int
    effective: float
    slopes: Slopes

    @property
    def is_known(self) -> bool:
        """Whether there are enough users behind it."""
        return self.effective >= FEWEST_USERS

    def interval(self, alpha: float = ALPHA, always_valid: bool = True) -> tuple[float, float]:
        """The interval that misses the truth with probability `alpha`."""
        return self._estimate().interval(alpha, always_valid)

    def p_value(self, always_valid: bool = True) -> float:
        """The two-sided p value of 0."""
        return self._estimate().p_value(always_valid)

    def _estimate(self) -> Estimate:
        return Estimate(self.value, self.se, self.users, max(1.0, self.effective - 1))


def smooth(moments: Moments, value: float, slopes: Slopes, effective: float) -> Value:
    """A smooth function of the columns' means."""
    variance = covariance(moments, slopes, slopes)
    # If users do not differ, rounding leaves a small negative number instead of 0.
    return Value(value, max(variance, 0.0) ** 0.5, moments.n, effective, slopes)


def covariance(moments: Moments, one: Slopes, other: Slopes) -> float:
    """The covariance of two smooth functions of the columns' means."""
    if moments.n < 2:
        return float("nan")
    rows, columns = ([moments.columns.index(name) for name in s] for s in (one, other))
    left, right = (np.array(list(s.values())) for s in (one, other))
    means = moments.sums / moments.n
    between = moments.products[rows][:, columns] / moments.n - np.outer(means[rows], means[columns])
    return float(left @ between @ right) / (moments.n - 1)


def ratio(moments: Moments, numerator: str, denominator: str, weights: str | None = None) -> Value:
    """The mean of one column over that of another.

    The effective users are those of the column `weights`, which is the denominator by default.
    """
    if not moments.total(denominator):
        return Value(float("nan"), float("nan"), moments.n, 0.0, {})
    over, under = (moments.total(name) / moments.n for name in (numerator, denominator))
    effective = moments.effective_users(weights or denominator)
    slopes = {numerator: 1 / under, denominator: -over / under**2}
    return smooth(moments, over / under, slopes, effective)


def combined(moments: Moments, parts: Iterable[tuple[float, Value]]) -> Value:
    """A weighted sum of values of the same users."""
    total, slopes, effective = 0.0, dict[str, float](), float("inf")
    for weight, part in parts:
        total += weight * part.value
        effective = min(effective, part.effective)
        for name, slope in part.slopes.items():
            slopes[name] = slopes.get(name, 0.0) + weight * slope
    return smooth(moments, total, slopes, effective)


def difference(moments: Moments, one: Value, other: Value) -> Value:
    """How much larger the one value is than the other, of the same users."""
    return combined(moments, [(1.0, one), (-1.0, other)])
