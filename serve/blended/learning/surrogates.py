"""Which rewards of a response point the way that retention goes."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from blended.experiments.moments import Array
from blended.learning.estimates import Value
from blended.learning.gradient import Gradient

_RESAMPLED, _SEED = 4000, 1


@dataclass(frozen=True)
class Agreement:
    """How well the direction of a reward over components agrees with an outcome's gradient.

    `cosine` is that of the angle between the two: 1 for the same direction, -1 for the opposite
    one. `low` and `high` are its 2.5 and 97.5 % quantiles over what both may be by their standard
    errors (normal, taken as independent), and reach the cosine itself where errors only take from
    it. `same_sign` is how many components both move the same way.
    """

    reward: str
    outcome: str
    cosine: float
    low: float
    high: float
    same_sign: int
    components: int


def agreement(reward: str, direction: Mapping[str, Value], gradient: Gradient) -> Agreement:
    """How well the direction of a reward agrees with the gradient of an outcome."""
    names = list(direction)
    rng = np.random.default_rng(_SEED)
    ours, theirs = (
        np.array([[of[name].value, of[name].se] for name in names])
        for of in (direction, gradient.toward)
    )
    resampled = [rng.normal(at, se, (_RESAMPLED, len(names))) for at, se in (ours.T, theirs.T)]
    low, high = np.quantile(_cosine(*resampled), (0.025, 0.975))
    same = int((np.sign(ours[:, 0]) == np.sign(theirs[:, 0])).sum())
    cosine = float(_cosine(ours[None, :, 0], theirs[None, :, 0])[0])
    shown = gradient.outcome.name
    ends = min(cosine, float(low)), max(cosine, float(high))
    return Agreement(reward, shown, cosine, *ends, same, len(names))


def _cosine(one: Array, other: Array) -> Array:
    """Of the angles between the rows; 0 where one of them is 0."""
    size = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    product = (one * other).sum(axis=1)
    cosine: Array = np.divide(product, size, out=np.zeros_like(product), where=size > 0)
    return cosine
