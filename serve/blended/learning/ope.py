"""Off-policy evaluation: what rewards another mix of components would have got, from the draws.

Every response is weighted by how many times as likely the mix would have drawn its component.
`ips` is the mean of the weighted rewards, `snips` that over the mean weight (self-normalised), and
`doubly_robust` predicts each reward by the component's mean and weights what is left. Users are the
unit: responses of one user are not independent.

Sources: Horvitz and Thompson 1952; Swaminathan and Joachims 2015; Dudik et al. 2011; with cross-
fitting, Chernozhukov et al. 2018.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from blended.experiments.moments import Array, Moments
from blended.learning.decisions import Decisions
from blended.learning.drawing import Drawing, Mix, chances
from blended.learning.estimates import Value, ratio

Weigh = Callable[[Drawing, Mix], float | None]

_FOLDS = 2


@dataclass(frozen=True)
class Evaluated:
    """The moments of users under some mixes: all that every estimate needs."""

    moments: Moments

    def snips(self, mix: str, reward: str) -> Value:
        """A reward's mean per response under a mix."""
        return ratio(self.moments, f"{mix}.{reward}", f"{mix}.weight")

    def ips(self, mix: str, reward: str) -> Value:
        """The same, not normalised by the mean weight."""
        return ratio(self.moments, f"{mix}.{reward}", f"{mix}.responses", f"{mix}.weight")

    def mean_weight(self, mix: str) -> Value:
        """The mean weight: it is 1 if the propensities are those of the draws."""
        return ratio(self.moments, f"{mix}.weight", f"{mix}.responses", f"{mix}.weight")

    def as_drawn(self, mix: str, reward: str) -> Value:
        """The mean over the same responses as they were drawn: those that the mix could answer."""
        return ratio(self.moments, f"{mix}.drawn.{reward}", f"{mix}.responses", f"{mix}.weight")

    def doubly_robust(self, mix: str, reward: str) -> Value:
        """A reward's mean per response under a mix, with the components' means as prediction."""
        return ratio(self.moments, f"{mix}.robust.{reward}", f"{mix}.responses", f"{mix}.weight")


def single(components: Sequence[str]) -> dict[str, Mix]:
    """The mixes of one component each, by its name."""
    return {name: {name: 1.0} for name in components}


def evaluate(
    decisions: Decisions,
    mixes: Mapping[str, Mix],
    rewards: Sequence[str],
    weigh: Weigh,
    robust: bool = False,
) -> Evaluated:
    """Weigh all responses under each mix; `robust` for doubly robust estimates, too."""
    columns = dict[str, Array]()
    predicted = _predictions(decisions, rewards) if robust else {}
    for mix, shares in mixes.items():
        weights = [weigh(drawing, shares) for drawing in decisions.drawings]
        by_row = np.array([w or 0.0 for w in weights])[decisions.drawing]
        counted = decisions.column("responses")
        is_known = np.array([w is not None for w in weights], dtype=bool)[decisions.drawing]
        known = counted * is_known
        columns[f"{mix}.responses"] = decisions.by_user(known)
        columns[f"{mix}.weight"] = decisions.by_user(by_row * counted)
        for reward in rewards:
            got = decisions.column(reward)
            columns[f"{mix}.{reward}"] = decisions.by_user(by_row * got)
            columns[f"{mix}.drawn.{reward}"] = decisions.by_user(is_known * got)
            if robust:
                expected, of_answer = _expected(decisions, shares, predicted[reward])
                columns[f"{mix}.robust.{reward}"] = decisions.by_user(
                    known * expected + by_row * (got - counted * of_answer)
                )
    return Evaluated(Moments.of(tuple(columns), np.column_stack(list(columns.values()))))


def _predictions(decisions: Decisions, rewards: Sequence[str]) -> dict[str, list[dict[str, float]]]:
    """By reward and fold: each component's mean reward, from the users of the other folds."""
    answered = [drawing.component for drawing in decisions.drawings]
    fold = decisions.user % _FOLDS
    found: dict[str, list[dict[str, float]]] = {reward: [] for reward in rewards}
    for held_out in range(_FOLDS):
        for reward in rewards:
            means = dict[str, float]()
            for name in decisions.components:
                is_its = np.array([component == name for component in answered])
                rows = is_its[decisions.drawing] & (fold != held_out)
                responses = decisions.column("responses")[rows].sum()
                got = decisions.column(reward)[rows].sum()
                means[name] = float(got / responses) if responses else 0.0
            found[reward].append(means)
    return found


def _expected(
    decisions: Decisions, mix: Mix, predicted: Sequence[Mapping[str, float]]
) -> tuple[Array, Array]:
    """By row: the reward that is predicted of the mix, and that of the component that answered."""
    of_mix = np.zeros((_FOLDS, len(decisions.drawings)))
    of_answer = np.zeros_like(of_mix)
    for fold, means in enumerate(predicted):
        for place, drawing in enumerate(decisions.drawings):
            of_answer[fold, place] = means[drawing.component] if drawing.component else 0.0
            if any(mix.get(name) for name in drawing.available):
                shares = chances(mix, drawing.available)
                of_mix[fold, place] = sum(p * means[name] for name, p in shares.items())
    its = decisions.user % _FOLDS, decisions.drawing
    return of_mix[its], of_answer[its]
