"""The draw: which component answers this response. Pure functions, no Ray, HTTP or clock.

One component n is drawn from P(theta) for every response, independently of all earlier ones, and
generates the whole of it (arXiv 2401.02994: uniform P; weights are an extension of this project).
"""

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

from blended.hashing import unit_interval


@dataclass(frozen=True)
class SelectionDistribution:
    """A categorical distribution over components: ids and probabilities of equal length."""

    components: tuple[str, ...]
    probabilities: tuple[float, ...]

    @cached_property
    def by_component(self) -> dict[str, float]:
        """The probabilities by component."""
        return dict(zip(self.components, self.probabilities, strict=True))

    @cached_property
    def version(self) -> str:
        """A hash of the distribution: equal distributions have equal versions everywhere."""
        return hashlib.blake2b(repr(self.by_component).encode(), digest_size=6).hexdigest()


@dataclass(frozen=True)
class Draw:
    """One draw with everything needed to replay it.

    `propensity` is the probability of `component`; `uniform` is the number in [0, 1) that decided.
    """

    component: str
    propensity: float
    uniform: float
    distribution: SelectionDistribution


def normalise(weights: Mapping[str, float]) -> SelectionDistribution:
    """Turn weights into probabilities, in the mapping's order; weight 0 is kept and never drawn.

    Raises:
        ValueError: no component, a weight that is negative or not finite, or all of them 0.
    """
    for component, weight in weights.items():
        if not (math.isfinite(weight) and weight >= 0):
            raise ValueError(
                f"Component {component!r} has weight {weight}; weights must be finite and >= 0."
            )
    total = math.fsum(weights.values())
    if total <= 0:
        raise ValueError("The weights sum to 0; give at least one component a weight above 0.")
    return SelectionDistribution(tuple(weights), tuple(w / total for w in weights.values()))


def exclude(
    distribution: SelectionDistribution, excluded: Collection[str]
) -> SelectionDistribution | None:
    """The distribution over the other components, in proportion; None if no component is left."""
    if not excluded:
        return distribution
    weights = zip(distribution.components, distribution.probabilities, strict=True)
    left = {name: weight for name, weight in weights if name not in excluded}
    return normalise(left) if sum(left.values()) > 0 else None


def seats(
    distribution: SelectionDistribution, count: int, uniform: Callable[[int], float]
) -> SelectionDistribution:
    """The shares of `count` seats, the i-th of which is drawn by the number `uniform(i)`.

    A draw from these shares takes one of the seats, each as likely. Its expectation over the seats
    is the distribution itself, because each seat is drawn from it.
    """
    held = Counter(draw(distribution, uniform(seat)).component for seat in range(count))
    shares = tuple(held[component] / count for component in distribution.components)
    return SelectionDistribution(distribution.components, shares)


def uniform(seed: str, conversation: str, turn: int, nonce: str) -> float:
    """A number in [0, 1) from a keyed hash: the same arguments give the same number.

    A new `nonce` gives each request its own draw; a repeated nonce repeats the draw.
    """
    return unit_interval(seed, conversation, str(turn), nonce)


def draw(distribution: SelectionDistribution, uniform: float) -> Draw:
    """Invert the cumulative distribution at `uniform`."""
    pairs = zip(distribution.components, distribution.probabilities, strict=True)
    possible = [pair for pair in pairs if pair[1] > 0]
    bounds = accumulate(probability for _, probability in possible)
    # The sum may round to just below 1: then the last possible component closes the gap.
    index = next((i for i, bound in enumerate(bounds) if uniform < bound), -1)
    return Draw(*possible[index], uniform, distribution)
