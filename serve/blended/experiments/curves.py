"""Retention and engagement by day, the lines through their ratios, and how long they reach."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from blended.errors import NotEnoughData
from blended.experiments.measures import engagement, fitted, intercept_and_slope, retention
from blended.experiments.moments import Contrast, Moments
from blended.experiments.statistics import Estimate, difference, level

Curve = Literal["retention", "engagement"]
CURVES: tuple[Curve, ...] = ("retention", "engagement")

# With fewer users who came, a mean is not normally distributed.
FEWEST_USERS = 20
FEWEST_DAYS = 3

_OF_DAY = {"retention": retention, "engagement": engagement}
# The history of users: how often they came, and how long they stayed.
HISTORY: dict[Curve, Contrast] = {
    "retention": {"before_active_days": 1.0},
    "engagement": {"before_active_s": 1.0, "before_active_days": -1.0},
}


@dataclass(frozen=True)
class CurvePoint:
    """A curve on day k: of one arm, or the ratio of two; all on the log scale."""

    k: int
    estimate: Estimate


@dataclass(frozen=True)
class RatioLine:
    """The paper's numbers of an arm against control: log ratio(k) = intercept + slope log k.

    They are fitted over the days up to `last`; `on_last` is the line's value there, `control` and
    `test` are the values of the arms' own lines.
    """

    intercept: Estimate
    slope: Estimate
    on_last: Estimate
    control: Estimate
    test: Estimate
    last: int


def days_known(arms: Sequence[Moments], days: int) -> int:
    """The last day up to which enough users of every arm came on each day."""
    for k in range(1, days + 1):
        if min(arm.total(f"active_{k}") for arm in arms) < FEWEST_USERS:
            return k - 1
    return days


def points(arm: Moments, curve: Curve, days: int) -> list[CurvePoint]:
    """A curve of one arm from day 1 to the last that is known."""
    return [CurvePoint(k, _of(level(arm, _OF_DAY[curve](k)), [arm], k)) for k in range(1, days + 1)]


def ratios(test: Moments, control: Moments, curve: Curve, days: int) -> list[CurvePoint]:
    """The ratio of two arms' curves from day 1 to the last that is known."""
    both = [test, control]
    return [
        CurvePoint(k, _of(difference(test, control, _OF_DAY[curve](k)), both, k))
        for k in range(1, days + 1)
    ]


def line(
    test: Moments, control: Moments, curve: Curve, days: int, history: Contrast | None = None
) -> RatioLine:
    """The line through the log ratios of two arms, by least squares over the days that are known.

    `history` is what users did before, as in `difference`.

    Raises:
        NotEnoughData: fewer than three days are known.
    """
    if days < FEWEST_DAYS:
        raise NotEnoughData(
            "The lines through the ratios of retention and engagement need "
            f"{FEWEST_DAYS} days after joining on each of which at least {FEWEST_USERS} users of "
            f"every arm came; {days} are there. Wait, or enrol more users."
        )
    intercept, slope = intercept_and_slope(range(1, days + 1), curve)

    def estimated(contrast: Contrast) -> Estimate:
        found = _of(difference(test, control, contrast, history), [test, control], days)
        # All days have a part in it, so that few users on a single day do not make it uncertain.
        return replace(found, freedom=found.users - 2)

    on_last = fitted((intercept, slope), days)
    return RatioLine(
        estimated(intercept),
        estimated(slope),
        estimated(on_last),
        level(control, on_last),
        level(test, on_last),
        days,
    )


def _of(estimate: Estimate, arms: Sequence[Moments], k: int) -> Estimate:
    """The estimate with the number of users that it rests on: those observed on day k."""
    return replace(estimate, users=int(sum(arm.total(f"observed_{k}") for arm in arms)))
