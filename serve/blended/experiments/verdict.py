"""A result in words that claim no more than its intervals allow."""

import math

from blended.experiments.analysis import Effect, ExperimentResult
from blended.experiments.statistics import ALPHA

_SENTENCES = {
    "retention": "Retention: users of '{arm}' came back {how} often on day {day} than those of "
    "'{control}'",
    "engagement": "Engagement: users of '{arm}' who came on day {day} stayed {how} than those of "
    "'{control}'",
}
_HOW = {"retention": ("more", "less"), "engagement": ("longer", "shorter")}


def verdicts(result: ExperimentResult) -> tuple[str, ...]:
    """A sentence on retention and one on engagement for each arm, or the reason for none."""
    if result.is_withheld:
        listed = ", ".join(f"{arm} {count:,}" for arm, count in result.users.items())
        return (
            f"Withheld: the users do not lie in the arms as the shares say ({listed}; p = "
            f"{result.mismatch_p:.1g}). Something loses or moves users, so that the arms are not "
            "alike. Find it first.",
        )
    said = [e for e in result.effects if e.measure in _SENTENCES]
    if not said:
        return ("Not enough data for a verdict yet.",)
    return tuple(_sentence(effect, result) for effect in said)


def _sentence(effect: Effect, result: ExperimentResult) -> str:
    bounds = effect.ratio.interval(ALPHA, always_valid=result.always_valid)
    low, high = map(math.expm1, bounds)
    names = {"arm": effect.arm, "control": result.definition.control, "day": result.days}
    if low <= 0 <= high:
        none = "{measure}: no difference between '{arm}' and '{control}' is shown on day {day}"
        said = none.format(measure=effect.measure.capitalize(), **names)
        return f"{said}; the data allow {low:+.1%} to {high:+.1%}."
    how = _HOW[effect.measure][low <= 0]
    said = _SENTENCES[effect.measure].format(how=how, **names)
    lift = f"{math.expm1(effect.ratio.log):+.1%}, 95 % interval {low:+.1%} to {high:+.1%}"
    if effect.corrected_p is not None and effect.corrected_p >= ALPHA:
        return f"{said} ({lift}); among so many comparisons that may be chance."
    return f"{said} ({lift})."
