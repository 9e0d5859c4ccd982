"""A policy: how likely each component is drawn, by what is known of the request. Pure.

For N components whose heads predict the rewards q_a(x), component a is drawn with probability

    floor + (1 - N floor) s_a,    s = softmax(q(x) / temperature)

where s is rounded to 64ths. So the floor holds exactly, and records have few distributions.
"""

import base64
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import mul
from typing import Any, Self

import numpy as np

from blended.experiments.moments import Array
from blended.learning import features
from blended.learning.features import Facts

_STEPS = 64


@dataclass(frozen=True)
class Policy:
    """N heads over D facts and, where `words` is given, over the words of the last message.

    `facts` is (N, D) and `words` (features.ROWS, N). A head is logistic: it predicts how likely the
    reward is, between 0 and 1. `fitted` says from what, for people.
    """

    name: str
    components: tuple[str, ...]
    reward: str
    floor: float
    temperature: float
    facts: Array
    words: Array | None
    fitted: Mapping[str, Any]

    @cached_property
    def version(self) -> str:
        """A hash of everything: equal policies have equal versions."""
        text = json.dumps(self.to_json(), sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()

    @property
    def reference(self) -> str:
        """The name with the version."""
        return f"{self.name}@{self.version}"

    def added(self, spoken: Sequence[str]) -> Array:
        """What the words of a message add to each head, shape (N,)."""
        if self.words is None:
            return np.zeros(len(self.components))
        return features.of_words(self.words, spoken)

    def rewards(self, known: Array, added: Array) -> Array:
        """The predicted rewards of m requests with the facts (m, D) and words (m, N): (m, N)."""
        predicted: Array = 1 / (1 + np.exp(-(known @ self.facts.T + added)))
        return predicted

    def probabilities(self, rewards: Array) -> Array:
        """The probabilities of m draws among n components whose rewards are predicted: (m, n).

        Raises:
            ValueError: a reward is no number.
        """
        return floored(softmax(rewards / self.temperature), self.floor)

    def distribution(self, facts: Facts, added: Array, among: Sequence[str]) -> dict[str, float]:
        """The probability of each of some components for one request.

        The same as `rewards` and `probabilities`, without NumPy: for a few numbers it is faster.

        Raises:
            ValueError: the policy does not know one of them, or a reward is no number.
        """
        known, words = features.vector(facts, self.components), added.tolist()
        scores = list[float]()
        for name in among:
            place = self._places.get(name)
            if place is None:
                raise ValueError(f"{self.reference} does not know '{name}'.")
            score = sum(map(mul, self._heads[place], known)) + words[place]
            scores.append(1 / (1 + math.exp(-score)) / self.temperature)
        highest = max(scores)
        grown = [math.exp(score - highest) for score in scores]
        chances = _floored([share / sum(grown) for share in grown], self.floor)
        return dict(zip(among, chances, strict=True))

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: place for place, name in enumerate(self.components)}

    @cached_property
    def _heads(self) -> list[list[float]]:
        found: list[list[float]] = self.facts.tolist()
        return found

    def to_json(self) -> dict[str, Any]:
        """The policy as JSON's types; numbers of 16 bits are enough for its tables."""
        return {
            "name": self.name,
            "features": features.VERSION,
            "components": list(self.components),
            "reward": self.reward,
            "floor": self.floor,
            "temperature": self.temperature,
            "facts": _encoded(self.facts),
            "words": None if self.words is None else _encoded(self.words),
            "fitted": dict(self.fitted),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """What `to_json` has written.

        Raises:
            ValueError, LookupError, TypeError: it is something else.
        """
        components, encoded = tuple(values["components"]), values["words"]
        n = len(components)
        return cls(
            name=values["name"],
            components=components,
            reward=values["reward"],
            floor=values["floor"],
            temperature=values["temperature"],
            facts=_decoded(values["facts"], (n, features.width(components))),
            words=None if encoded is None else _decoded(encoded, (features.ROWS, n)),
            fitted=values["fitted"],
        )


def softmax(scores: Array) -> Array:
    """Over the last axis."""
    grown = np.exp(scores - scores.max(axis=-1, keepdims=True))
    shares: Array = grown / grown.sum(axis=-1, keepdims=True)
    return shares


def floored(shares: Array, floor: float) -> Array:
    """Shares (m, n) in 64ths of what is left above a floor, which each of n components has.

    Raises:
        ValueError: a share is no number.
    """
    if not np.isfinite(shares).all():
        raise ValueError("A policy's scores are no numbers.")
    exact = shares * _STEPS
    steps = np.floor(exact)
    # What rounding leaves goes to those that lost most by it.
    missing = (_STEPS - steps.sum(axis=1)).astype(np.int64)
    order = np.argsort(steps - exact, axis=1, kind="stable")
    rank = np.argsort(order, axis=1, kind="stable")
    steps += rank < missing[:, None]
    chances: Array = floor + (1 - shares.shape[1] * floor) * steps / _STEPS
    return chances


def _floored(shares: list[float], floor: float) -> list[float]:
    """The same for one request."""
    exact = [share * _STEPS for share in shares]
    if not math.isfinite(sum(exact)):
        raise ValueError("A policy's scores are no numbers.")
    steps = [math.floor(share) for share in exact]
    by_loss = sorted(range(len(steps)), key=lambda place: steps[place] - exact[place])
    for place in by_loss[: _STEPS - sum(steps)]:
        steps[place] += 1
    left = 1 - len(shares) * floor
    return [floor + left * step / _STEPS for step in steps]


def rounded(table: Array) -> Array:
    """A table as its file holds it."""
    return table.astype("<f2").astype(float)


def _encoded(table: Array) -> str:
    return base64.b64encode(table.astype("<f2").tobytes()).decode("ascii")


def _decoded(text: str, shape: tuple[int, int]) -> Array:
    table = np.frombuffer(base64.b64decode(text), dtype="<f2").astype(float)
    return table.reshape(shape)
