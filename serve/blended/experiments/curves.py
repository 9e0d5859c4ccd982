"""Retention and engagement by day, and the lines through their ratios."""

import math
from dataclasses import dataclass, replace
from typing import Literal

from scipy import stats

from blended.errors import NotEnoughData
from blended.experiments.fit import Fit, lack_of_fit
from blended.experiments.measures import engagement, intercept_and_slope, retention
from blended.experiments.moments import Contrast, Moments
from blended.experiments.shares import FEWEST_USERS, Share
from blended.experiments.statistics import ALPHA, Estimate, difference, level

Curve = Literal["retention", "engagement"]
CURVES: tuple[Curve, ...] = ("retention", "engagement")

FEWEST_DAYS = 3

_OF_DAY = {"retention": retention, "engagement": engagement}
# Without as many effective users behind this column a day's logarithm is not normally distributed.
_COUNTED = {"retention": "active", "engagement": "seconds"}
# The history of users: how often they came, and how long they stayed.
HISTORY: dict[Curve, Contrast] = {
    "retention": {"before_active_days": 1.0},
    "engagement": {"before_active_s": 1.0, "before_active_days": -1.0},
}


@dataclass(frozen=True)
class CurvePoint:
    """A curve on day k, of one arm or the ratio of two, with its interval and number of users."""

    k: int
    value: float
    low: float
    high: float
    users: int


@dataclass(frozen=True)
class RatioPoint:
    """The ratio of two arms on day k, on the log scale."""

    k: int
    estimate: Estimate


@dataclass(frozen=True)
class RatioLine:
    """The paper's numbers of an arm against control: log ratio(k) = intercept + slope log k.

    They are fitted over `days`; where the line does not fit these, they say nothing.
    """

    intercept: Estimate
    slope: Estimate
    days: tuple[int, ...]
    fit: Fit


def points(arm: Moments, curve: Curve, days: int) -> list[CurvePoint]:
    """A curve of one arm, on those days up to `days` that enough users tell of."""
    of_day = _share_of_day if curve == "retention" else _mean_of_day
    return [point for k in range(1, days + 1) if (point := of_day(arm, k)) is not None]


def _share_of_day(arm: Moments, k: int) -> CurvePoint | None:
    users = int(arm.total(f"observed_{k}"))
    if users < FEWEST_USERS:
        return None
    came = Share(arm.total(f"active_{k}") / users, users)
    return CurvePoint(k, came.value, *came.bounds(float(stats.norm.isf(ALPHA / 2))), users)


def _mean_of_day(arm: Moments, k: int) -> CurvePoint | None:
    if arm.effective_users(f"seconds_{k}") < FEWEST_USERS:
        return None
    mean = level(arm, engagement(k))
    low, high = mean.interval()
    users = int(arm.total(f"active_{k}"))
    return CurvePoint(k, math.exp(mean.log), math.exp(low), math.exp(high), users)


def ratios(test: Moments, control: Moments, curve: Curve, days: int) -> list[RatioPoint]:
    """The ratio of two arms' curves, on those days up to `days` that enough users tell of."""
    return [
        RatioPoint(k, difference(test, control, _OF_DAY[curve](k)))
        for k in days_known(test, control, curve, days)
    ]


def days_known(test: Moments, control: Moments, curve: Curve, days: int) -> list[int]:
    """The days on each of which enough users of both arms came, and not all of them."""
    column = _COUNTED[curve]
    return [
        k
        for k in range(1, days + 1)
        if min(arm.effective_users(f"{column}_{k}") for arm in (test, control)) >= FEWEST_USERS
        and difference(test, control, _OF_DAY[curve](k)).se > 0
    ]


def line(
    test: Moments, control: Moments, curve: Curve, days: int, history: Contrast | None = None
) -> RatioLine:
    """The line through the log ratios of two arms, by least squares over the days that are known.

    `history` is what users did before, as in `difference`.

    Raises:
        NotEnoughData: fewer than three days are known.
    """
    known = days_known(test, control, curve, days)
    if len(known) < FEWEST_DAYS:
        raise NotEnoughData(
            f"The line through the ratios of {curve} needs {FEWEST_DAYS} days after joining on "
            f"each of which at least {FEWEST_USERS} users of both arms came; {len(known)} are "
            "there. Wait, or enrol more users."
        )
    intercept, slope = intercept_and_slope(known, curve)
    of_day = {k: _OF_DAY[curve](k) for k in known}
    # Every day's users are a part of what the line rests on; the day with the fewest limits it.
    fewest = min(arm.effective_users(c) for arm in (test, control) for c in intercept)
    found = (difference(test, control, c, history) for c in (intercept, slope))
    first, second = (replace(estimate, freedom=fewest - 1) for estimate in found)
    return RatioLine(first, second, tuple(known), lack_of_fit(test, control, known, of_day))
