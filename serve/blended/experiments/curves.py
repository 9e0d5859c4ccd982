"""Retention and engagement by day, and the lines through their ratios."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from scipy import special

from blended.errors import NotEnoughData
from blended.experiments.fit import Fit, lack_of_fit
from blended.experiments.measures import engagement, intercept_and_slope, retention
from blended.experiments.moments import Contrast, Moments
from blended.experiments.shares import FEWEST_USERS, Share
from blended.experiments.statistics import ALPHA, Estimate, difference, level

Curve = Literal["retention", "engagement"]
CURVES: tuple[Curve, ...] = ("retention", "engagement")

FEWEST_DAYS = 3
_REACH = -float(special.ndtri(ALPHA / 2))

_OF_DAY = {"retention": retention, "engagement": engagement}
# A mean of so many users per squared skewness is nearly normal (in coverage, see the calibration).
_USERS_PER_SKEW = 9.0
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
    if curve == "retention":
        found = (_share_of_day(arm, k) for k in range(1, days + 1))
        return [point for point in found if point is not None]
    needed = _needed([arm], days)
    return [_mean_of_day(arm, k) for k in range(1, days + 1) if _came(arm, k) >= needed]


def _share_of_day(arm: Moments, k: int) -> CurvePoint | None:
    users = int(arm.total(f"observed_{k}"))
    if users < FEWEST_USERS:
        return None
    came = Share(arm.total(f"active_{k}") / users, users)
    return CurvePoint(k, came.value, *came.bounds(_REACH), users)


def _mean_of_day(arm: Moments, k: int) -> CurvePoint:
    mean = level(arm, engagement(k))
    low, high = mean.interval()
    return CurvePoint(k, math.exp(mean.log), math.exp(low), math.exp(high), round(_came(arm, k)))


def _came(arm: Moments, k: int) -> float:
    return arm.total(f"active_{k}")


def _needed(arms: Sequence[Moments], days: int) -> float:
    """How many users have to come on a day for a mean of their times that is nearly normal.

    The skewness is the log-normal distribution's with the times' coefficient of variation, that of
    all days together: on a single day a heavy tail shows too late.
    """
    of_days = [(arm, k) for arm in arms for k in range(1, days + 1)]
    came = sum(_came(arm, k) for arm, k in of_days)
    seconds = sum(arm.total(f"seconds_{k}") for arm, k in of_days)
    squares = sum(arm.square(f"seconds_{k}") for arm, k in of_days)
    variation = max(squares * came / seconds**2 - 1, 0.0) if seconds else 0.0
    skewness = math.sqrt(variation) * (3 + variation)
    return max(FEWEST_USERS, _USERS_PER_SKEW * skewness**2)


def ratios(test: Moments, control: Moments, curve: Curve, days: int) -> list[RatioPoint]:
    """The ratio of two arms' curves, on those days up to `days` that enough users tell of."""
    return [
        RatioPoint(k, difference(test, control, _OF_DAY[curve](k)))
        for k in days_known(test, control, curve, days)
    ]


def days_known(test: Moments, control: Moments, curve: Curve, days: int) -> list[int]:
    """The days on each of which enough users of both arms came, and not all of them."""
    arms = (test, control)
    needed = FEWEST_USERS if curve == "retention" else _needed(arms, days)
    return [
        k
        for k in range(1, days + 1)
        if min(_came(arm, k) for arm in arms) >= needed
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
