"""Simulated messages of several kinds, whose best component depends on the kind: pure NumPy.

world = World(dependence=0.057, main=0.014)
talks = world.talk(1000, rng)            # every response of 1,000 users, drawn uniformly
talks.rows()                             # as the journal would give them
talks.value(chances)                     # the true mean reward of other probabilities

Users differ in how often they are pleased. A message of kind k is answered best by component k: it
pleases more by `dependence`, and the others less by as much in all. Component 0 pleases more by
`main`, whatever the kind. A few words of a message tell its kind.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from blended.learning import features
from blended.learning.features import Facts
from blended.learning.policy import Policy
from blended.learning.policy_rows import REASONS, Rows, as_matrix
from blended.learning.rewards import YES_OR_NO

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

NAMES = ("a", "b", "c")
REWARD = "two_more"
_LENGTH, _TELLING = 12, 4
_OWN, _COMMON = 30, 300
_LOW, _HIGH = 0.35, 0.7


@dataclass(frozen=True)
class World:
    """How components please users; `responses` is the mean number of a user's responses."""

    dependence: float = 0.0
    main: float = 0.0
    responses: float = 10.0

    @property
    def effects(self) -> Floats:
        """By kind and component: what is added to how likely a user is pleased, rows of mean 0."""
        n = len(NAMES)
        own = np.eye(n) * self.dependence - (1 - np.eye(n)) * self.dependence / (n - 1)
        first = np.array([self.main, *([-self.main / (n - 1)] * (n - 1))])
        found: Floats = own + first
        return found

    def talk(self, users: int, rng: np.random.Generator, policy: Policy | None = None) -> "Talks":
        """All responses of so many users, drawn uniformly or by a policy."""
        user = np.repeat(np.arange(users), 1 + rng.poisson(self.responses - 1, users))
        m, n = len(user), len(NAMES)
        kind, before = rng.integers(0, n, m), rng.integers(0, n, m)
        pleased = rng.uniform(_LOW, _HIGH, users)[user]
        terms = [features.rows(spoken) for spoken in _messages(kind, rng)]
        known = np.array(
            [
                features.vector(Facts(turn, _LENGTH, NAMES[last], pause_s, False), NAMES)
                for turn, last, pause_s in zip(
                    rng.integers(1, 9, m), before, rng.exponential(20, m), strict=True
                )
            ]
        )
        words = as_matrix(terms)
        logged = np.full((m, n), 1 / n)
        if policy is not None:
            logged = policy.probabilities(policy.rewards(known, words @ policy.words))
        ends = np.cumsum(logged, axis=1)
        drawn = np.minimum((rng.random((m, 1)) >= ends).sum(axis=1), n - 1)
        likely = pleased[:, None] + self.effects[kind]
        reward = rng.random(m) < likely[np.arange(m), drawn]
        names = tuple(f"{rng.integers(2**62):016x}" for _ in range(users))
        return Talks(names, user, known, words, logged, drawn, likely, reward.astype(float))


@dataclass(frozen=True)
class Talks:
    """The m responses of some users; `likely` (m, N) is how likely each component had pleased."""

    users: tuple[str, ...]
    user: Ints
    facts: Floats
    words: Any
    logged: Floats
    drawn: Ints
    likely: Floats
    reward: Floats

    def rows(self) -> Rows:
        """As the journal would give them."""
        m = len(self.user)
        rewards = dict.fromkeys(YES_OR_NO, np.zeros(m)) | {REWARD: self.reward}
        left_out = dict.fromkeys(REASONS, 0)
        return Rows(
            NAMES,
            self.users,
            self.user,
            self.drawn,
            self.logged,
            self.facts,
            self.words,
            m,
            rewards,
            left_out,
        )

    @cached_property
    def uniform(self) -> float:
        """The true value of the uniform mix."""
        return float(self.likely.mean())

    def value(self, chances: Floats) -> float:
        """The true value of other probabilities, (m, N) or (N,)."""
        return float((self.likely * chances).sum(axis=1).mean())

    def best(self, floor: float) -> float:
        """The value of the best policy that leaves each component the floor."""
        place = self.likely.argmax(axis=1)
        chances = np.full(self.likely.shape, floor)
        chances[np.arange(len(place)), place] = 1 - (len(NAMES) - 1) * floor
        return self.value(chances)


def _messages(kind: Ints, rng: np.random.Generator) -> list[list[str]]:
    """Words: some of a kind's own, the rest of what all have; frequent ones come more often."""
    telling = rng.integers(0, _OWN, (len(kind), _TELLING))
    rest = (_COMMON * rng.random((len(kind), _LENGTH - _TELLING)) ** 2).astype(int)
    return [
        [*(f"{k}own{word}" for word in own), *(f"common{word}" for word in common)]
        for k, own, common in zip(kind.tolist(), telling.tolist(), rest.tolist(), strict=True)
    ]
