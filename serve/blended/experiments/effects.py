"""The effect of an arm on a measure beside control: a ratio, and of shares a difference."""

import math
from dataclasses import dataclass

from blended.errors import NotEnoughData
from blended.experiments import quantiles
from blended.experiments.measures import QUANTILE_LABELS, QUANTILES, Measure
from blended.experiments.moments import Contrast, Moments
from blended.experiments.panel import ExperimentPanel
from blended.experiments.shares import FEWEST_USERS, ShareDifference, counted, difference_of_shares
from blended.experiments.statistics import Estimate, difference

# Where some users have far more of something than others, fewer effective users hide the tail.
_FEWEST_FOR_A_MEAN = 40


@dataclass(frozen=True)
class Effect:
    """A measure of an arm against control's; `ratio` is on the log scale.

    There is no ratio where the measure is 0, or 1, for too many. Shares have a `difference`.
    `adjusted` tells whether users' history reduced the ratio's noise. `corrected_p` is corrected
    over all arms and goals, and None for guardrails.
    """

    arm: str
    measure: str
    control: float
    test: float
    ratio: Estimate | None
    difference: ShareDifference | None
    adjusted: bool
    p: float
    always_valid: bool
    corrected_p: float | None = None

    @property
    def lift(self) -> float | None:
        """The relative difference; None where control has nothing."""
        if self.ratio is not None:
            return math.expm1(self.ratio.log)
        return self.test / self.control - 1 if self.control else None

    @property
    def sides(self) -> tuple[float, float]:
        """The ends of the interval that decides: 0 in between is no difference."""
        shown = self.ratio if self.ratio is not None else self.difference
        assert shown is not None, "every effect has a ratio or a difference"
        return shown.interval(always_valid=self.always_valid)

    @property
    def sign(self) -> int:
        """1 if it is clearly more than control's, -1 if clearly less, 0 if neither."""
        low, high = self.sides
        return (low > 0) - (high < 0)


@dataclass(frozen=True)
class Pair:
    """An arm beside control, whose effects are always valid or for one look."""

    arm: str
    test: Moments
    control: Moments
    always_valid: bool

    def effect(self, measure: Measure) -> Effect:
        """A measure against control's.

        Raises:
            NotEnoughData: too few users have a part in it.
        """
        self._require(measure, measure.denominator, FEWEST_USERS)
        history = self.known(measure.history)
        ratio, shares = None, None
        if measure.is_share:
            shares = difference_of_shares(
                self.test, self.control, measure.numerator, measure.denominator
            )
        else:
            self._require(measure, measure.numerator, _FEWEST_FOR_A_MEAN)
        if shares is None or self._has_ratio(measure):
            ratio = difference(self.test, self.control, measure.contrast, history)
            if not ratio.se:
                raise NotEnoughData(
                    f"{measure.label}: all users of '{self.arm}' and of control are the same in it "
                    "as yet, so that nothing tells what chance would do."
                )
        shown = ratio if ratio is not None else shares
        assert shown is not None
        control, test = (math.exp(a.value(measure.contrast)) for a in (self.control, self.test))
        adjusted = history is not None and ratio is not None
        p = shown.p_value(self.always_valid)
        return Effect(
            self.arm, measure.name, control, test, ratio, shares, adjusted, p, self.always_valid
        )

    def known(self, history: Contrast | None) -> Contrast | None:
        """What users did before, if enough users of both arms did anything."""
        arms = (self.control, self.test)
        enough = history is not None and all(
            arm.effective_users(column) >= FEWEST_USERS for arm in arms for column in history
        )
        return history if enough else None

    def _require(self, measure: Measure, column: str, needed: int) -> None:
        fewest = min(arm.effective_users(column) for arm in (self.control, self.test))
        if fewest < needed:
            raise NotEnoughData(
                f"{measure.label}: the data of {fewest:.0f} users count in '{self.arm}' or in "
                f"control, and {needed} are needed in each."
            )

    def _has_ratio(self, measure: Measure) -> bool:
        """Whether enough users have a part in a share, and enough in its rest."""
        columns = measure.numerator, measure.denominator
        return min(min(counted(a, *columns)) for a in (self.control, self.test)) >= FEWEST_USERS


def quantile_effect(panel: ExperimentPanel, arm: str, name: str, always_valid: bool) -> Effect:
    """The effect on a quantile of the times to the first byte.

    Raises:
        NotEnoughData: too few users have responses on one side of it.
    """
    try:
        test, control = (
            _quantile(panel, of, QUANTILES[name]) for of in (arm, panel.definition.control)
        )
    except NotEnoughData as exc:
        raise NotEnoughData(f"{QUANTILE_LABELS[name]} of '{arm}' or of control: {exc}.") from exc
    ratio = quantiles.ratio(test, control)
    values = math.exp(control.log), math.exp(test.log)
    p = ratio.p_value(always_valid)
    return Effect(arm, name, *values, ratio, None, False, p, always_valid)


def _quantile(panel: ExperimentPanel, arm: str, part: float) -> Estimate:
    number = [of.id for of in panel.definition.arms].index(arm)
    times, user = panel.checked.first_byte_s, panel.checked.user
    chosen = (panel.arm[user] == number) & (times > 0)
    return quantiles.quantile(times[chosen], user[chosen], part)
