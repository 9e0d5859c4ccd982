"""What a policy would have got, on responses whose draws have known probabilities.

A response is weighted by how many times as likely the policy would have drawn its component. With a
prediction q of each component's reward, the doubly robust estimate is the mean of

    sum over a of pi(a|x) q(a, x) + w (r - q(drawn, x))

(Dudik et al. 2011; the others as in ope.py). Users are the unit: responses of one are not
independent.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from blended.experiments.moments import Array, Moments
from blended.learning.estimates import Value, difference, ratio
from blended.learning.features import Ints


@dataclass(frozen=True)
class Valued:
    """The moments of users under some policies, by name."""

    moments: Moments

    def ips(self, name: str) -> Value:
        """The mean of the weighted rewards."""
        return self._mean(f"{name}.reward", name)

    def snips(self, name: str) -> Value:
        """That over the mean weight."""
        return ratio(self.moments, f"{name}.reward", f"{name}.weight")

    def doubly_robust(self, name: str) -> Value:
        """The doubly robust mean."""
        return self._mean(f"{name}.robust", name)

    def mean_weight(self, name: str) -> Value:
        """The mean weight: 1 if the logged probabilities are those of the draws."""
        return self._mean(f"{name}.weight", name)

    def mean_square(self, name: str) -> float:
        """The mean of the squared weights, by which variance grows."""
        return self.moments.total(f"{name}.square") / self.moments.total("responses")

    def gain(self, name: str, over: str) -> Value:
        """How much more one is worth than another, doubly robust."""
        return difference(self.moments, self.doubly_robust(name), self.doubly_robust(over))

    def _mean(self, column: str, name: str) -> Value:
        return ratio(self.moments, column, "responses", f"{name}.weight")


def valued(
    user: Ints,
    drawn: Ints,
    propensity: Array,
    reward: Array,
    predicted: Array,
    policies: Mapping[str, Array],
) -> Valued:
    """Of m responses: `user`, `drawn`, `propensity` and `reward` are (m,), `predicted` is (m, N).

    `policies` are the probabilities (m, N) that each would have given.
    """
    rows, users = np.arange(len(drawn)), int(user.max()) + 1 if len(user) else 0
    columns = {"responses": np.ones(len(drawn))}
    for name, chances in policies.items():
        weight = chances[rows, drawn] / propensity
        columns |= {
            f"{name}.weight": weight,
            f"{name}.square": weight**2,
            f"{name}.reward": weight * reward,
            f"{name}.robust": (chances * predicted).sum(axis=1)
            + weight * (reward - predicted[rows, drawn]),
        }
    sums = [np.bincount(user, column, users) for column in columns.values()]
    return Valued(Moments.of(tuple(columns), np.column_stack(sums)))
