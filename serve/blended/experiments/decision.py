"""What to do with an arm: ship it, keep control, wait, or find out what is broken first."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from blended.experiments.analysis import ExperimentResult
from blended.experiments.effects import Effect
from blended.experiments.measures import WATCHED
from blended.experiments.statistics import ALPHA
from blended.experiments.wording import change, name_of

VERDICT_ON = ("retention", "engagement")

Kind = Literal["ship", "keep", "wait", "broken"]


@dataclass(frozen=True)
class Decision:
    """The decision on an arm, with its reason in a sentence."""

    arm: str
    kind: Kind
    why: str


def decisions(result: ExperimentResult) -> tuple[Decision, ...]:
    """A decision for each arm but control."""
    control = result.panel.definition.control
    return tuple(_decision(result, arm) for arm in result.users if arm != control)


def _decision(result: ExperimentResult, arm: str) -> Decision:
    if result.is_withheld:
        faults = len(result.quality.faults)
        many = "1 check of the data fails" if faults == 1 else f"{faults} checks of the data fail"
        return Decision(arm, "broken", f"{many}; nothing is compared until the cause is found.")
    effects = {effect.measure: effect for effect in result.effects if effect.arm == arm}
    goals = [effects[name] for name in VERDICT_ON if name in effects]
    harms = [*_worse(goals), *_harmed(result, effects.values())]
    if harms:
        return Decision(arm, "keep", f"{_listed(harms)}.")
    better = [effect for effect in goals if _is_better(effect, effects)]
    unproven = list(_unproven(result, effects))
    if better and not unproven:
        return Decision(arm, "ship", f"{_listed(better)}; no watched guardrail is clearly worse.")
    return _undecided(result, arm, better, unproven)


def _undecided(
    result: ExperimentResult, arm: str, better: Sequence[Effect], unproven: Sequence[str]
) -> Decision:
    if better:
        why = (
            f"{_listed(better)}, but {' and '.join(unproven)} may be worse by more than the margin."
        )
    elif not any(e.arm == arm and e.measure in VERDICT_ON for e in result.effects):
        why = "there is too little data for a verdict."
    elif any(_is_sure(e) and e.arm == arm and e.measure == "engagement" for e in result.effects):
        why = (
            "engagement is of those who came, and the time per day of all users is not clearly "
            "longer."
        )
    else:
        why = "no difference in retention or engagement is shown."
    return Decision(arm, "keep" if result.is_over else "wait", why)


def _worse(goals: Sequence[Effect]) -> Iterator[Effect]:
    yield from (effect for effect in goals if _is_sure(effect) and effect.sign < 0)


def _is_better(effect: Effect, effects: Mapping[str, Effect]) -> bool:
    """Engagement is of those who came, and rises where casual users stay away: it is better only
    where the time per day of all users is, too."""
    alike = effects.get("time_per_day") if effect.measure == "engagement" else effect
    return _is_sure(effect) and effect.sign > 0 and alike is not None and alike.sign > 0


def _is_sure(effect: Effect) -> bool:
    return effect.corrected_p is not None and effect.corrected_p < ALPHA


def _harmed(result: ExperimentResult, effects: Iterable[Effect]) -> Iterator[Effect]:
    """Guardrails that are clearly worse than their margin allows; without one, at all."""
    margins = result.panel.definition.margins
    watched = [e for e in result.effects if e.measure in WATCHED and e.measure not in margins]
    for effect in effects:
        if effect.measure in margins:
            is_harmed = _harm(effect)[0] > margins[effect.measure]
        else:
            # So many guardrails in so many arms: by chance one of them always looks worse.
            is_harmed = effect in watched and effect.sign > 0 and effect.p * len(watched) < ALPHA
        if is_harmed:
            yield effect


def _unproven(result: ExperimentResult, effects: Mapping[str, Effect]) -> Iterator[str]:
    """Guardrails with a margin that may yet be worse than it allows."""
    for measure, margin in result.panel.definition.margins.items():
        found = effects.get(measure)
        if found is None or _harm(found)[1] > margin:
            yield name_of(measure)


def _harm(effect: Effect) -> tuple[float, float]:
    """How much more of a guardrail there is, at both ends of the interval: more is worse.

    A part of control's value; of shares a part of 1.
    """
    if effect.difference is not None:
        return effect.difference.interval(always_valid=effect.always_valid)
    low, high = effect.sides
    return math.expm1(low), math.expm1(high)


def _listed(effects: Sequence[Effect]) -> str:
    return ", ".join(change(effect) for effect in effects)
