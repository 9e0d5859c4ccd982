"""A mix that moves day by day among simulated users, by the code that moves real ones: pure NumPy.

run = ascend([(0.80, 0.84, 0.88)] * 40, Population(), Rules(0.1, 0.05, {}), 14, rng)
run.shares                               # by day, and after the last one

Every day some of the users come, who keep their arm: a tenth has the uniform mix, the others the
one that moves. Responses are good with the probability of their component; those of one user are
alike (a Gaussian copula), and the probabilities hold over all users.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import special

from blended.experiments.mixes_over_time import DrawnMix, Shares, in_force, uniform_shares
from blended.learning.ascent import Move, Rules
from blended.learning.decisions import Decisions
from blended.learning.drawing import Drawing
from blended.learning.evidence import weigh_up
from blended.learning.mix import HALF_LIVES, decide
from blended.learning.reading import aged
from blended.learning.rewards import SUMS
from loadtests.studies.learning.chats import Bools, Floats, Ints

REWARD = "kept"
_ARMS = ("uniform", "adaptive")
# A day's last response, as a part of the day.
_EVENING = 0.99
_MOST_KINDS = 2**16


@dataclass(frozen=True)
class Population:
    """`users`, of whom `daily` come on a day with so many `responses` on average.

    `alike` is the correlation of the latent rewards of one user.
    """

    users: int = 5_000
    daily: int = 500
    responses: float = 4.0
    alike: float = 0.3
    holdback: float = 0.1


@dataclass(frozen=True)
class Run:
    """The shares of the moving mix on each day, shape (days + 1, N), and each day's move."""

    shares: Floats
    moves: tuple[Move, ...]


@dataclass
class _Records:
    """What the days so far left behind: an entry of the first lists for each of them."""

    user: list[Ints] = field(default_factory=list)
    drawing: list[Ints] = field(default_factory=list)
    sums: list[Floats] = field(default_factory=list)
    mixes: list[DrawnMix] = field(default_factory=list)
    drawings: list[Drawing] = field(default_factory=list)
    kinds: dict[tuple[str, tuple[float, ...]], int] = field(default_factory=dict)

    def add(self, user: Ints, arm: Ints, drawn: Ints, good: Bools, shares: Shares) -> None:
        """The responses of a day, (m,); arm and component are places in _ARMS and in the shares."""
        both = zip(_ARMS, (uniform_shares(shares), shares), strict=True)
        first = np.array([self._first(name, mix) for name, mix in both])
        kind = first[arm] + drawn
        key, place = np.unique(user * _MOST_KINDS + kind, return_inverse=True)
        sums = np.zeros((len(key), len(SUMS)))
        sums[:, SUMS.index("responses")] = np.bincount(place)
        sums[:, SUMS.index(REWARD)] = np.bincount(place, good)
        self.user.append(key // _MOST_KINDS)
        self.drawing.append(key % _MOST_KINDS)
        self.sums.append(sums)
        day = len(self.mixes)
        self.mixes.append(DrawnMix(day, dict(shares), int(arm.sum()), day, day + _EVENING))

    def _first(self, arm: str, shares: Shares) -> int:
        """The place of an arm's drawing of the first component; the others follow."""
        kind = arm, tuple(shares.values())
        if kind not in self.kinds:
            self.kinds[kind] = len(self.drawings)
            mix, left = dict(shares), frozenset(shares)
            self.drawings += [Drawing("mix", arm, mix, one, one, (one,), left) for one in shares]
        return self.kinds[kind]

    def decisions(self, first: int, last: int, half_life: float) -> Decisions:
        """Those of some days, weighted by age on the last of them."""
        sums = [self.sums[day] * aged(last - day, half_life) for day in range(first, last + 1)]
        names, user = np.unique(np.concatenate(self.user[first : last + 1]), return_inverse=True)
        drawing = np.concatenate(self.drawing[first : last + 1])
        drawings = tuple(self.drawings)
        return Decisions(len(names), user, drawings, drawing, np.concatenate(sums), {})


def ascend(
    values: Sequence[Sequence[float]],
    population: Population,
    rules: Rules,
    half_life: float,
    rng: np.random.Generator,
) -> Run:
    """Live the days, whose components have these values, and move the mix once a day."""
    names = "abcdefgh"[: len(values[0])]
    shares, records = dict(uniform_shares(names)), _Records()
    is_adaptive = rng.random(population.users) >= population.holdback
    habit = rng.normal(size=population.users)
    found, moves = [list(shares.values())], list[Move]()
    for day, value in enumerate(values):
        _live(value, shares, population, is_adaptive, habit, records, rng)
        move = _decided(day + 1, shares, rules, half_life, records)
        shares = dict(move.shares)
        moves.append(move)
        found.append(list(shares.values()))
    return Run(np.array(found), tuple(moves))


def _live(
    values: Sequence[float],
    shares: Shares,
    population: Population,
    is_adaptive: Bools,
    habit: Floats,
    records: _Records,
    rng: np.random.Generator,
) -> None:
    """One day: who comes, what is drawn, and how good it is."""
    who = rng.choice(population.users, population.daily, replace=False)
    user = np.repeat(who, 1 + rng.poisson(population.responses - 1, len(who)))
    arm = is_adaptive[user].astype(np.int64)
    mixes = np.array([list(mix.values()) for mix in (uniform_shares(shares), shares)])
    bounds = mixes.cumsum(axis=1)[arm]
    drawn = np.minimum((rng.random(len(user))[:, None] > bounds).sum(axis=1), len(values) - 1)
    noise = rng.normal(size=len(user))
    latent = np.sqrt(population.alike) * habit[user] + np.sqrt(1 - population.alike) * noise
    records.add(user, arm, drawn, latent < special.ndtri(np.array(values))[drawn], shares)


def _decided(now: int, shares: Shares, rules: Rules, half_life: float, records: _Records) -> Move:
    """The move at a day's beginning: responses are looked at when a day has passed."""
    found = in_force(records.mixes, shares)
    first = max(0.0, now - HALF_LIVES * half_life, np.ceil(found.evidence_since or 0.0))
    last = now - 2
    if first > last:
        return Move("stay", shares, "No response is old enough.")
    decisions = records.decisions(int(first), last, half_life)
    evidence = weigh_up(decisions, REWARD, tuple(shares), "adaptive", "uniform")
    return decide(shares, evidence, rules, found, float(now), 1.0)
