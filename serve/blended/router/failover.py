"""Chooses the component to ask for a response, and the next one if it fails. Pure functions.

One component is drawn. If it gives no byte, another of its replicas is asked once. Then one is
drawn among the other components, and so on, each by its weight among those that are left.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from blended.router.blame import Reason
from blended.router.selection import SelectionDistribution, draw, exclude


@dataclass(frozen=True)
class Choice:
    """The component to ask now.

    `propensity` is the probability that this component answers this response, given the components
    that were unavailable or failed: its weight over the weights of all that are `left`, which are
    those that could be drawn. `neighbour` asks for another replica than the conversation's own.
    """

    component: str
    propensity: float
    left: tuple[str, ...]
    neighbour: bool = False


@dataclass(frozen=True)
class Failure:
    """A choice that gave no answer; `repeatable` if another replica may answer.

    `retry_after_s` is when the component asks to be asked again.
    """

    choice: Choice
    reason: Reason
    repeatable: bool
    retry_after_s: int | None = None

    @property
    def component(self) -> str:
        """The component that was asked."""
        return self.choice.component


def choose(
    distribution: SelectionDistribution,
    unavailable: Collection[str],
    failures: Sequence[Failure],
    uniform: Callable[[int], float],
    reserve: SelectionDistribution | None = None,
) -> Choice | None:
    """The next component to ask after `failures`; None when none is left.

    `uniform(k)` is the number in [0, 1) for the k-th draw of this response. The first draw is over
    the whole distribution, so that it does not depend on availability. If all components count as
    unavailable they are asked nevertheless, because a health check may be wrong. Once none of the
    distribution is left, the draws are over `reserve`, which has at least the same components.
    """
    if failures and _is_worth_repeating(failures):
        return replace(failures[-1].choice, neighbour=True)
    intended = draw(distribution, uniform(0))
    failed = {failure.component for failure in failures}
    left = _left(distribution, reserve or distribution, unavailable, failed)
    if left is None:
        return None
    if not failures and intended.component in left.components:
        return _choice(intended.component, left)
    return _choice(draw(left, uniform(1 + len(failed))).component, left)


def _choice(component: str, left: SelectionDistribution) -> Choice:
    chances = left.by_component
    return Choice(component, chances[component], tuple(name for name, p in chances.items() if p))


def _is_worth_repeating(failures: Sequence[Failure]) -> bool:
    last = failures[-1]
    asked = sum(failure.component == last.component for failure in failures)
    return asked == 1 and last.repeatable


def _left(
    distribution: SelectionDistribution,
    reserve: SelectionDistribution,
    unavailable: Collection[str],
    failed: Collection[str],
) -> SelectionDistribution | None:
    everybody_out = exclude(reserve, unavailable) is None
    out = {*failed, *(() if everybody_out else unavailable)}
    return exclude(distribution, out) or exclude(reserve, out)
