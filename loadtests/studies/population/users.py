"""Simulated users: their names, their arms, and the days on which they come."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from loadtests.studies.population.habits import Activity, ArmEffect, Floats, Ints, draw


@dataclass(frozen=True)
class Population:
    """n users by name; `arm` (n,) indexes the effects, `join_day` (n,) counts from day 0."""

    names: tuple[str, ...]
    arm: Ints
    join_day: Ints
    activity: Activity

    def visits_on(self, day: int) -> tuple[Ints, Floats]:
        """The users who are active on a day, as indices, and the seconds of each."""
        since = day - self.join_day
        user = np.nonzero(since >= 0)[0]
        user = user[self.activity.active[user, since[user]]]
        return user, self.activity.seconds[user, since[user]]


def populate(
    names: Sequence[str],
    arm: Ints,
    effects: Sequence[ArmEffect],
    days: int,
    join_days: int,
    rng: np.random.Generator,
) -> Population:
    """Let users join on one of the first days, equally likely, and draw all of their days.

    Raises:
        ConfigError: the effects are too large.
    """
    join_day = rng.integers(0, join_days, len(names))
    return Population(tuple(names), arm, join_day, draw(effects, arm, join_day, days, rng))


def generators(seed: int) -> tuple[np.random.Generator, np.random.Generator]:
    """Separate random generators for habits and for visits: neither changes the other."""
    habits, visits = np.random.SeedSequence(seed).spawn(2)
    return np.random.default_rng(habits), np.random.default_rng(visits)
