"""How many users an experiment needs, and for how long, to show an effect of a given size."""

import math
from dataclasses import dataclass

from scipy import stats

from blended.experiments.statistics import ALPHA, always_valid_factor

_ROUNDS = 100


@dataclass(frozen=True)
class RequiredUsers:
    """Users in both arms together, and the days until the last of them has been observed."""

    users: int
    days: int


def retention_variance(retention: float) -> float:
    """The variance of one user's part in log R(k): (1 - R) / R."""
    return (1 - retention) / retention


def engagement_variance(retention: float, variation: float) -> float:
    """The variance of one user's part in log E(k): users who come on day k differ by the
    coefficient of variation, and only they count."""
    return variation**2 / retention


def users_needed(
    variance: float,
    lift: float,
    power: float,
    test_share: float = 0.5,
    always_valid: bool = False,
) -> int:
    """Users in both arms together so that a true lift is shown with probability `power`.

    `variance` is one user's, equal in both arms; `test_share` is the part of the users in the test
    arm; `lift` is relative, 0.05 for 5 %. The normal approximation: the log of the ratio has the
    standard error sqrt(variance / n (1 / share + 1 / (1 - share))), which must be log(1 + lift)
    over the sum of the two quantiles. The power of an always-valid interval is that of one look at
    its end; looking earlier only shortens the experiment.
    """
    spread = variance * (1 / test_share + 1 / (1 - test_share)) / math.log1p(lift) ** 2
    reach = stats.norm.isf(ALPHA / 2)
    users = float(spread * (reach + stats.norm.isf(1 - power)) ** 2)
    for _ in range(_ROUNDS if always_valid else 0):
        reach = always_valid_factor(max(2, round(users)))
        users = float(spread * (reach + stats.norm.isf(1 - power)) ** 2)
    return math.ceil(users)


def need(users: int, users_per_day: float, day: int) -> RequiredUsers:
    """The plan for users who join at a rate, each observed until `day` after joining."""
    return RequiredUsers(users, math.ceil(users / users_per_day) + day + 1)
