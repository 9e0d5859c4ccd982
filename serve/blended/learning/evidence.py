"""What the draws of a mix tell about its components, and about the mix beside the uniform one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from blended.experiments.statistics import ALPHA
from blended.learning.ascent import Apart
from blended.learning.components_document import off
from blended.learning.decisions import Decisions
from blended.learning.drawing import weight_of_answer, weight_of_first_draw
from blended.learning.estimates import Value, difference
from blended.learning.learned import answered_only, priced
from blended.learning.ope import Evaluated, evaluate, single
from blended.learning.rewards import COST

_DRAWN = "drawn"


@dataclass(frozen=True)
class Evidence:
    """A reward and the engine seconds per response after each component that is known.

    `pairs` are the differences of the reward between each two, always valid for all of them
    together. `over_uniform` is how much more of it users of the `adaptive` arm give than those of
    the `holdback`; None if one of the arms has too few users. `faults` say what is wrong with the
    journal. `left_out` counts responses by reason.
    """

    values: Mapping[str, Value]
    costs: Mapping[str, Value]
    pairs: tuple[Apart, ...]
    adaptive: Value
    holdback: Value
    over_uniform: Apart | None
    faults: tuple[str, ...]
    left_out: Mapping[str, int]


def weigh_up(
    decisions: Decisions,
    reward: str,
    components: Sequence[str],
    adaptive: str,
    holdback: str,
    gpus: Mapping[str, float] | None = None,
) -> Evidence:
    """The evidence of two arms, `adaptive` and `holdback`, on components.

    Components are compared by all draws of both arms, each with the probability that it had. `gpus`
    are those of one replica of a component; one that has none counts as one.
    """
    both = decisions.of(lambda drawing: drawing.arm in (adaptive, holdback))
    answered, left_out = answered_only(both)
    paid = priced(answered, gpus or {})
    evaluated = evaluate(paid, single(components), [reward, COST.name], weight_of_answer)
    enough = [name for name in components if evaluated.mean_weight(name).is_known]
    drawn = evaluate(both, single(components), [], weight_of_first_draw)
    arms = tuple(_mean(answered, arm, reward) for arm in (adaptive, holdback))
    return Evidence(
        values={name: evaluated.snips(name, reward) for name in enough},
        costs={name: evaluated.snips(name, COST.name) for name in enough},
        pairs=tuple(_pairs(paid, reward, components, evaluated)),
        adaptive=arms[0],
        holdback=arms[1],
        over_uniform=_over_uniform(*arms),
        faults=tuple(fault for name in components for fault in off(name, drawn.mean_weight(name))),
        left_out={**decisions.left_out, **left_out},
    )


def _pairs(
    decisions: Decisions, reward: str, components: Sequence[str], whole: Evaluated
) -> list[Apart]:
    """Each two components, where both could be drawn: other requests are other requests.

    `whole` is the evaluation of all decisions.
    """
    couples = list(combinations(components, 2))
    found = list[Apart]()
    for one, other in couples:
        evaluated = _of_pair(decisions, reward, {one, other}, whole)
        values = [evaluated.snips(name, reward) for name in (one, other)]
        if all(value.is_known for value in values):
            more = difference(evaluated.moments, *values)
            # Bonferroni: all pairs are looked at.
            low, high = more.interval(ALPHA / len(couples))
            found.append(Apart(one, other, more.value, low, high))
    return found


def _of_pair(decisions: Decisions, reward: str, pair: set[str], whole: Evaluated) -> Evaluated:
    its = decisions.of(lambda drawing: pair <= drawing.available)
    if its is decisions:
        return whole
    return evaluate(its, single(sorted(pair)), [reward], weight_of_answer)


def _mean(decisions: Decisions, arm: str, reward: str) -> Value:
    """The mean reward of an arm's responses as they were drawn."""
    its = decisions.of(lambda drawing: drawing.arm == arm)
    return evaluate(its, {_DRAWN: {}}, [reward], lambda *_: 1.0).snips(_DRAWN, reward)


def _over_uniform(adaptive: Value, holdback: Value) -> Apart | None:
    """The difference of two arms, which have no user in common."""
    if not (adaptive.is_known and holdback.is_known):
        return None
    more = Value(
        adaptive.value - holdback.value,
        (adaptive.se**2 + holdback.se**2) ** 0.5,
        adaptive.users + holdback.users,
        min(adaptive.effective, holdback.effective),
        {},
    )
    return Apart("mix", "uniform", more.value, *more.interval())
