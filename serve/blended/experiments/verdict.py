"""What a result says, in words that claim no more than its intervals allow."""

import math

from blended.experiments.analysis import Effect, Result
from blended.experiments.statistics import ALPHA

_SENTENCES = {
    "retention": ("came back more often", "came back less often"),
    "engagement": (
        "stayed longer on a day on which they came",
        "stayed less long on a day on which they came",
    ),
}


def verdicts(result: Result) -> tuple[str, ...]:
    """A sentence on retention and one on engagement for each arm; or why there is none."""
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


def _sentence(effect: Effect, result: Result) -> str:
    rose, fell = _SENTENCES[effect.measure]
    low, high = (
        math.expm1(x) for x in effect.ratio.interval(ALPHA, always_valid=result.always_valid)
    )
    control = result.definition.control
    where = f"on day {result.days} than those of '{control}'"
    data = f"({math.expm1(effect.ratio.log):+.1%}, 95 % interval {low:+.1%} to {high:+.1%})"
    if low <= 0 <= high:
        return (
            f"{effect.measure.capitalize()}: no difference between '{effect.arm}' and '{control}' "
            f"is shown on day {result.days}; the data allow {low:+.1%} to {high:+.1%}."
        )
    did = rose if low > 0 else fell
    sentence = f"{effect.measure.capitalize()}: users of '{effect.arm}' {did} {where} {data}."
    if effect.corrected_p is not None and effect.corrected_p >= ALPHA:
        sentence += " Among so many comparisons that may be chance."
    return sentence
