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
from pathlib import Path
from typing import Any

import numpy as np

from blended import config
from blended.errors import ConfigError
from blended.experiments.moments import Array
from blended.learning import features
from blended.learning.features import Facts

_STEPS = 64
FOLDER = "policies"


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


def path_of(folder: Path, name: str, version: str) -> Path:
    """The file of a policy; a name that a Kubernetes ConfigMap takes as a key."""
    return folder / f"{name}.{version}.json"


def write(policy: Policy, folder: Path) -> Path:
    """Write a policy's file, and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    file = path_of(folder, policy.name, policy.version)
    part = file.with_name(f"{file.name}.part")
    part.write_text(json.dumps(policy.to_json()) + "\n", "utf-8")
    part.replace(file)
    return file


def read(folder: Path, name: str, version: str) -> Policy:
    """The policy of a name and version.

    Raises:
        ConfigError: its file is missing, unreadable or changed, or of other features.
    """
    file = path_of(folder, name, version)
    try:
        values = json.loads(file.read_text("utf-8"))
        features_version = values["features"]
        policy = _policy(values) if features_version == features.VERSION else None
    except OSError as exc:
        raise ConfigError(
            f"The policy '{name}@{version}' cannot be read from '{file}': {exc.strerror}; put its "
            "file there."
        ) from None
    except (ValueError, LookupError, TypeError) as exc:
        raise ConfigError(f"'{file}' is no policy ({exc}); fit it again.") from None
    if policy is None:
        raise ConfigError(
            f"'{file}' has features of version {features_version}, this version of Blended has "
            f"{features.VERSION}; fit the policy again."
        )
    if (policy.name, policy.version) != (name, version):
        raise ConfigError(
            f"'{file}' holds '{policy.reference}', not '{name}@{version}'; it was changed or "
            "renamed. Put the right file there."
        )
    return policy


def usable(folder: Path, wanted: config.Policy) -> Policy:
    """The policy that a blend's file asks for.

    Raises:
        ConfigError: its file is of no use, or it leaves a component less than the floor.
    """
    policy = read(folder, wanted.name, wanted.version)
    if policy.floor < wanted.floor:
        raise ConfigError(
            f"The policy '{wanted.reference}' leaves each component {policy.floor:g}, less than "
            f"the floor of {wanted.floor:g}; fit it again with that floor."
        )
    return policy


def versions(folder: Path, name: str) -> list[str]:
    """The versions of a policy in a folder, the latest file first."""
    files = sorted(folder.glob(f"{name}.*.json"), key=lambda file: -file.stat().st_mtime)
    return [file.name.split(".")[1] for file in files]


def _policy(values: Mapping[str, Any]) -> Policy:
    components, encoded = tuple(values["components"]), values["words"]
    n = len(components)
    return Policy(
        name=values["name"],
        components=components,
        reward=values["reward"],
        floor=values["floor"],
        temperature=values["temperature"],
        facts=_decoded(values["facts"], (n, features.width(components))),
        words=None if encoded is None else _decoded(encoded, (features.ROWS, n)),
        fitted=values["fitted"],
    )


def _encoded(table: Array) -> str:
    return base64.b64encode(table.astype("<f2").tobytes()).decode("ascii")


def _decoded(text: str, shape: tuple[int, int]) -> Array:
    table = np.frombuffer(base64.b64decode(text), dtype="<f2").astype(float)
    return table.reshape(shape)
