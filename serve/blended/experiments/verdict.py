"""A result in words that claim no more than its intervals allow."""

from collections.abc import Iterator

from blended.experiments.analysis import ExperimentResult
from blended.experiments.decision import VERDICT_ON
from blended.experiments.effects import Effect
from blended.experiments.measures import WATCHED
from blended.experiments.statistics import ALPHA, POWER
from blended.experiments.wording import change, detectable, ends, size

_SENTENCES = {
    "retention": "Retention: users of '{arm}' came back {how} often on {days} than those of "
    "'{control}'",
    "engagement": "Engagement: users of '{arm}' who came on {days} stayed {how} than those of "
    "'{control}' who came",
}
_HOW = {"retention": ("more", "less"), "engagement": ("longer", "shorter")}


def verdicts(result: ExperimentResult) -> tuple[str, ...]:
    """Sentences on each arm: its retention, engagement and guardrails; or why there are none."""
    if result.is_withheld:
        return tuple(f"Withheld: {fault}." for fault in result.quality.faults)
    arms = [arm for arm in result.users if arm != result.panel.definition.control]
    return tuple(sentence for arm in arms for sentence in _of_arm(result, arm))


def _of_arm(result: ExperimentResult, arm: str) -> Iterator[str]:
    effects = {effect.measure: effect for effect in result.effects if effect.arm == arm}
    found = [effects[name] for name in VERDICT_ON if name in effects]
    if not found:
        yield _too_early(result, arm)
    for effect in found:
        yield _sentence(effect, result)
    if [effect.sign for effect in found] == [-1, 1]:
        yield (
            f"Who still comes to '{arm}' is not who comes to control: an arm that loses its casual "
            "users looks more engaging."
        )
    watched = [change(effects[name]) for name in sorted(WATCHED) if name in effects]
    if watched:
        failing = "failures" in effects and effects["failures"].sign
        told = " Failures count in TTFT with the time that their clients waited." if failing else ""
        yield f"Guardrails of '{arm}': {', '.join(watched)}.{told}"


def _too_early(result: ExperimentResult, arm: str) -> str:
    window = result.panel.window
    if window.is_begun:
        return f"Too few users of '{arm}' or of control came on {window} for a verdict."
    return (
        f"No verdict on '{arm}' yet: it is on days {window.first} to {window.last} after joining, "
        f"and users have been observed until day {window.seen}."
    )


def _sentence(effect: Effect, result: ExperimentResult) -> str:
    arm, control = effect.arm, result.panel.definition.control
    days = str(result.panel.window)
    if not effect.sign:
        of = f"{effect.measure.capitalize()}: no difference between '{arm}' and '{control}'"
        return f"{of} is shown on {days}; {_open(effect)}"
    how = _HOW[effect.measure][effect.sign < 0]
    said = _SENTENCES[effect.measure].format(how=how, arm=arm, control=control, days=days)
    if effect.corrected_p is not None and effect.corrected_p >= ALPHA:
        return f"{said}: {size(effect)}; among so many comparisons that may be chance."
    return f"{said}: {size(effect)}."


def _open(effect: Effect) -> str:
    low, high = ends(effect)
    lift = detectable(effect)
    seen = f" A lift of {lift} would have been seen with a probability of {POWER:.0%}."
    return f"the data allow {low} to {high}.{seen if lift else ''}"
