"""The moments of an arm's users: sums that add up, from which every estimate follows.

    moments = Moments.of(columns, values)              # one row for each user
    whole = moments + Moments.of(columns, others)      # other users of the same arm

All estimates here are contrasts: weighted sums of logarithms of column means. Retention on a day is
log mean(active) - log mean(observed), and so on. The variance of a contrast c is c'DSDc / n, with
the covariance S of the columns between users and D = diag(1 / mean): the delta method.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Contrast = Mapping[str, float]


@dataclass(frozen=True)
class Moments:
    """Sums over `n` users of p columns, shape (p,), and of their products, shape (p, p).

    Users are independent of each other. The columns of one user are not: a user's days are
    correlated.
    """

    columns: tuple[str, ...]
    n: int
    sums: Array
    products: Array

    @classmethod
    def of(cls, columns: tuple[str, ...], values: NDArray[Any]) -> "Moments":
        """The moments of users whose values are the rows, shape (n, p)."""
        values = np.asarray(values, dtype=float)
        return cls(columns, len(values), values.sum(axis=0), values.T @ values)

    @cached_property
    def _places(self) -> dict[str, int]:
        return {column: place for place, column in enumerate(self.columns)}

    def __add__(self, other: "Moments") -> "Moments":
        assert self.columns == other.columns, "moments of different columns do not add up"
        sums, products = self.sums + other.sums, self.products + other.products
        return Moments(self.columns, self.n + other.n, sums, products)

    def total(self, column: str) -> float:
        """The sum of a column."""
        return float(self.sums[self._places[column]])

    def effective_users(self, column: str) -> float:
        """The effective number of users behind a column's sum: as if all of them had equal shares.

        (Kish's effective sample size: the square of the sum over the sum of the squares.)
        """
        squares = self.square(column)
        return self.total(column) ** 2 / squares if squares else 0.0

    def square(self, column: str) -> float:
        """The sum of a column's squares."""
        place = self._places[column]
        return float(self.products[place, place])

    def less(self, whole: str, part: str) -> "Moments":
        """The moments of the rest of one column beside another one: of `whole` minus `part`."""
        turned = np.zeros((2, len(self.columns)))
        turned[0, self._places[whole]], turned[1, self._places[part]] = 1.0, 1.0
        turned[0, self._places[part]] -= 1.0
        products = turned @ self.products @ turned.T
        return Moments(("rest", "part"), self.n, turned @ self.sums, products)

    def value(self, contrast: Contrast) -> float:
        """A contrast's estimate; minus or plus infinity where a column is all 0."""
        where, weights = self._located(contrast)
        with np.errstate(divide="ignore", invalid="ignore"):
            return float(weights @ np.log(self.sums[where] / self.n))

    def covariance(self, one: Contrast, other: Contrast) -> float:
        """The covariance of two contrasts' estimates."""
        (rows, left), (columns, right) = self._located(one), self._located(other)
        one_mean, other_mean = self.sums[rows] / self.n, self.sums[columns] / self.n
        products = self.products[rows][:, columns] / self.n
        between = (products - one_mean[:, None] * other_mean) / (self.n - 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            return float((left / one_mean) @ between @ (right / other_mean))

    def covariances(self, contrasts: Sequence[Contrast]) -> Array:
        """The covariances of m contrasts' estimates with each other, shape (m, m)."""
        used = list(dict.fromkeys(column for contrast in contrasts for column in contrast))
        where = [self._places[column] for column in used]
        weights = np.array([[contrast.get(c, 0.0) for c in used] for contrast in contrasts])
        mean = self.sums[where] / self.n
        products = self.products[where][:, where] / self.n
        between = (products - mean[:, None] * mean) / (self.n - 1)
        scaled: Array = weights / mean
        return scaled @ between @ scaled.T

    def _located(self, contrast: Contrast) -> tuple[list[int], Array]:
        places = [self._places[column] for column in contrast]
        return places, np.array(list(contrast.values()), dtype=float)


def combined(weights: Mapping[int, float], contrasts: Mapping[int, Contrast]) -> dict[str, float]:
    """A weighted sum of contrasts as one contrast."""
    sums: dict[str, float] = {}
    for key, weight in weights.items():
        for column, factor in contrasts[key].items():
            sums[column] = sums.get(column, 0.0) + weight * factor
    return sums
