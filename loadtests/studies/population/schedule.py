"""From a blend's file to the requests of its simulated users, by time: pure functions."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from blended.config import BlendConfig, Experiment
from blended.errors import ConfigError
from blended.experiments.assignment import assign
from blended.journal.identity import Identity
from loadtests.studies.population.drive import User, UserRequest
from loadtests.studies.population.habits import DAY_S, ArmEffect
from loadtests.studies.population.users import Population, generators, populate
from loadtests.studies.population.visits import DAY_MS, GAP_MS, plan

# No arm can have this name.
NOWHERE = "(none)"


@dataclass(frozen=True)
class Cast:
    """Simulated users of a running experiment: how many join in how many days, and the effects."""

    blend: BlendConfig
    experiment: Experiment
    effects: tuple[ArmEffect, ...]
    users: int
    days: int
    join_days: int
    seed: int

    def schedule(
        self, identity: Identity, began_at: float, day_s: float
    ) -> tuple[list[User], list[str]]:
        """All users, and the arm of each as the router will find it, NOWHERE if it has none.

        Day 0 begins at `began_at`, in Unix seconds. The time is part of the users' names, so that
        another drive has other users.

        Raises:
            ConfigError: an effect is too large.
        """
        first = round(began_at / day_s)
        names = [f"simulated-{self.seed}-{first}-{number}" for number in range(self.users)]
        arms = [self._arm(identity.user(name), began_at) for name in names]
        effects = (*self.effects, ArmEffect(NOWHERE))
        places = {effect.name: place for place, effect in enumerate(effects)}
        arm = np.array([places[name] for name in arms], dtype=np.int64)
        habits, visits = generators(self.seed)
        population = populate(names, arm, effects, self.days, self.join_days, habits)
        asks = _asks(population, self.days, day_s, visits)
        return [User(name, asked) for name, asked in zip(names, asks, strict=True)], arms

    def _arm(self, user: str, at: float) -> str:
        """By the experiment's slice and hash, and the holdout."""
        found = assign(self.blend.experiments, self.blend.holdout, user, at)
        if found is None or found.experiment != self.experiment.name:
            return NOWHERE
        return found.arm


def next_day(now: float, day_s: float) -> float:
    """When the next day begins: days are counted from 1970, as the journal counts them."""
    return math.ceil(now / day_s) * day_s


def experiment_of(
    blend: BlendConfig, name: str, effects: Sequence[ArmEffect], day_s: float
) -> Experiment:
    """The experiment of that name, which must be a rehearsal with these arms and days.

    Raises:
        ConfigError: the blend does not have it, or it differs from these arms and days.
    """
    found = next((e for e in blend.experiments if e.name == name), None)
    if found is None:
        names = ", ".join(e.name for e in blend.experiments) or "none"
        raise ConfigError(f"The blend has no experiment '{name}'; its experiments are: {names}.")
    if found.rehearsal is None or found.rehearsal.day_s != day_s:
        raise ConfigError(
            f"The experiment '{name}' is no rehearsal with days of {day_s:g} s; give it "
            f"'rehearsal: {{day_s: {day_s:g}}}', so that its reports say that users are simulated."
        )
    arms = [arm.id for arm in found.arms]
    if sorted(arms) != sorted(effect.name for effect in effects):
        raise ConfigError(
            f"The experiment '{name}' has the arms {', '.join(arms)}; give --arm once for each."
        )
    gap_s = GAP_MS / 1e3 * day_s / DAY_S
    if not math.isclose(found.session_gap_s, gap_s, rel_tol=0.1):
        raise ConfigError(
            f"The experiment '{name}' ends sessions after {found.session_gap_s:g} s; with days of "
            f"{day_s:g} s give it 'session_gap_s: {gap_s:.3g}', half an hour of the users' time."
        )
    return found


def check_period(experiment: Experiment, began_at: float, ended_at: float) -> None:
    """Refuse to drive an experiment at a time at which it does not run, in Unix seconds.

    Raises:
        ConfigError: it starts later or ends earlier.
    """
    if experiment.start.timestamp() > began_at or ended_at > experiment.end.timestamp():
        raise ConfigError(
            f"The experiment '{experiment.name}' runs from {experiment.start:%F %T} until "
            f"{experiment.end:%F %T}, which does not cover all days; move its start or end."
        )


def _asks(
    population: Population, days: int, day_s: float, rng: np.random.Generator
) -> list[list[UserRequest]]:
    """The requests of each user, by time, on days of `day_s`."""
    found: list[list[UserRequest]] = [[] for _ in population.names]
    for day in range(days):
        user, seconds = population.visits_on(day)
        # The API decides itself which requests fail.
        responses = plan(seconds, rng, failures=0)
        due_s = (day * DAY_MS + responses.start_ms) / DAY_MS * day_s
        columns = user[responses.visit], due_s, responses.conversation, responses.turn
        rows = zip(*(c.tolist() for c in columns), responses.again.tolist(), strict=True)
        for who, due, number, turn, again in rows:
            conversation = f"{population.names[who]}-{day}-{number}"
            found[who].append(UserRequest(due, conversation, turn == 1, again))
    return found
