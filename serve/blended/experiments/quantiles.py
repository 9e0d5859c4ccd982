"""Quantiles of responses' times, whose error counts the responses of one user as alike.

The share of responses within a time is a ratio over users, with the delta method's error. An
interval for the share at the quantile, read off the sorted times, is one for the quantile (the
outer interval of Deng, Knoblich and Lu 2018, section 4).
"""

import math

import numpy as np

from blended.errors import NotEnoughData
from blended.experiments.moments import Array, Moments
from blended.experiments.shares import FEWEST_USERS, counted
from blended.experiments.statistics import Estimate
from blended.experiments.user_days import Ints

_REACH = 1.96


def quantile(values: Array, user: Ints, part: float) -> Estimate:
    """The log of the quantile of m values above 0 that belong to users (m,).

    Raises:
        NotEnoughData: too few users are on one side of it.
    """
    ordered = np.sort(values)
    if not len(ordered):
        raise NotEnoughData("no response has a time")
    value = _at(ordered, part)
    within = values <= value
    users, of_user = np.unique(user, return_inverse=True)
    sums = [np.bincount(of_user, weights) for weights in (within.astype(float), None)]
    moments = Moments.of(("within", "all"), np.column_stack(sums))
    fewest = min(counted(moments, "within", "all"))
    if fewest < FEWEST_USERS:
        raise NotEnoughData(
            f"the responses of {fewest:.0f} users lie on one side of it, and {FEWEST_USERS} are "
            "needed"
        )
    contrast = {"within": 1.0, "all": -1.0}
    share_se = part * math.sqrt(moments.covariance(contrast, contrast))
    low, high = (_at(ordered, part + side * _REACH * share_se) for side in (-1, 1))
    return Estimate(math.log(value), math.log(high / low) / (2 * _REACH), len(users), fewest - 1)


def _at(ordered: Array, part: float) -> float:
    place = math.ceil(part * len(ordered)) - 1
    return float(ordered[min(max(place, 0), len(ordered) - 1)])


def ratio(test: Estimate, control: Estimate) -> Estimate:
    """The log ratio of two arms' quantiles."""
    se = math.hypot(test.se, control.se)
    freedom = min(test.freedom, control.freedom)
    return Estimate(test.log - control.log, se, test.users + control.users, freedom)
