"""What each component of a blend does to what comes next, from the draws of an experiment's arm.

Every response is drawn independently, with a known probability, so that an arm that blends is an
experiment on its components: all that is compared is what was drawn first, whoever answered.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from blended.errors import ConfigError
from blended.experiments.statistics import holm
from blended.learning.decisions import Decisions
from blended.learning.drawing import weight_of_draw
from blended.learning.estimates import Value, difference
from blended.learning.ope import Evaluated, evaluate, single
from blended.learning.rewards import AFTERMATH


@dataclass(frozen=True)
class Aftermath:
    """What followed where a component was drawn, and how much more than where `against` was.

    `difference` and its p values are None for `against` itself.
    """

    component: str
    measure: str
    value: Value
    difference: Value | None = None
    p: float | None = None
    corrected_p: float | None = None


@dataclass(frozen=True)
class ArmComponents:
    """The components of one arm; `found` has those with enough users.

    `responses` are those for which each of them could be drawn, `partial` counts the others.
    `weights` are the mean weights, 1 by design. `few` are the effective users of the other
    components.
    """

    arm: str
    probabilities: Mapping[str, float]
    against: str
    responses: int
    partial: int
    users: int
    weights: Mapping[str, Value]
    found: tuple[Aftermath, ...]
    few: Mapping[str, float]


def compare(
    decisions: Decisions,
    arm: str,
    probabilities: Mapping[str, float],
    against: str | None = None,
) -> ArmComponents:
    """Each component of an arm against one of them, the first one by default.

    p values are always valid, and corrected for all components and measures (Holm).

    Raises:
        ConfigError: `against` is never drawn in the arm.
    """
    names = [name for name, p in probabilities.items() if p]
    if against is not None and against not in names:
        listed = ", ".join(names)
        raise ConfigError(f"The arm '{arm}' never draws '{against}'; it draws: {listed}.")
    base = against or names[0]
    of_arm = decisions.of(lambda drawing: drawing.arm == arm)
    # Requests that only some could answer are other requests: only these may be compared.
    its = of_arm.of(lambda drawing: set(names) <= drawing.probabilities.keys())
    measures = [reward.name for reward in AFTERMATH]
    evaluated = evaluate(its, single(names), measures, weight_of_draw)
    weights = {name: evaluated.mean_weight(name) for name in names}
    few = {name: w.effective for name, w in weights.items() if not w.is_known}
    enough = [name for name in dict.fromkeys((base, *names)) if name not in few]
    found = [
        _aftermath(evaluated, name, measure, base if base in enough else name)
        for measure in measures
        for name in enough
    ]
    return ArmComponents(
        arm=arm,
        probabilities=probabilities,
        against=base,
        responses=its.responses(),
        partial=of_arm.responses() - its.responses(),
        users=its.users,
        weights=weights,
        found=_corrected(found),
        few=few,
    )


def _aftermath(evaluated: Evaluated, name: str, measure: str, base: str) -> Aftermath:
    value = evaluated.snips(name, measure)
    if name == base:
        return Aftermath(name, measure, value)
    more = difference(evaluated.moments, value, evaluated.snips(base, measure))
    return Aftermath(name, measure, value, more, more.p_value())


def _corrected(found: list[Aftermath]) -> tuple[Aftermath, ...]:
    compared = [place for place, one in enumerate(found) if one.p is not None]
    corrected = holm([found[place].p or 0.0 for place in compared]) if compared else []
    by_place = dict(zip(compared, corrected, strict=True))
    return tuple(replace(one, corrected_p=by_place.get(n)) for n, one in enumerate(found))
