"""A journal full of simulated users: a pure stream of records, and its way into the database."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice

import numpy as np
from pydantic import ValidationError

from blended.config import BlendConfig
from blended.config.loading import problems
from blended.errors import ConfigError
from blended.experiments.assignment import arm_of
from blended.journal.records import ExperimentRecord, Record
from blended.journal.store import Store
from blended.router.blend import definitions
from loadtests.studies.population.habits import DAY_S, ArmEffect
from loadtests.studies.population.records import Scribe
from loadtests.studies.population.users import Population, generators, populate

COMPONENTS = ("one", "two", "three")
_BATCH = 5_000


@dataclass(frozen=True)
class SimulatedExperiment:
    """An ended experiment on simulated users: equal values give equal records.

    Day 0 is `start`, in UTC; users join on one of the first `join_days` days. The control is the
    first of `effects`.
    """

    experiment: str
    effects: tuple[ArmEffect, ...]
    users: int
    days: int
    join_days: int
    start: date
    seed: int

    @property
    def start_s(self) -> int:
        """When day 0 begins, in Unix seconds."""
        return int(datetime.combine(self.start, time(), UTC).timestamp())

    def blend(self) -> BlendConfig:
        """A blend of the experiment's name, with components that do not run.

        The control always draws the first of them, all other arms draw among all of them.

        Raises:
            ConfigError: a name is not allowed in a blend's file.
        """
        control, *others = (effect.name for effect in self.effects)
        experiment = {
            "name": self.experiment,
            "start": self.start,
            "end": self.start + timedelta(days=self.days),
            "control": control,
            "arms": [{"id": control, "weights": {COMPONENTS[0]: 1}}, *({"id": a} for a in others)],
            "rehearsal": {"day_s": DAY_S},
        }
        components = [{"id": name, "kind": "simulated"} for name in COMPONENTS]
        values = {"name": self.experiment, "components": components, "experiments": [experiment]}
        try:
            return BlendConfig.model_validate(values)
        except ValidationError as exc:
            raise ConfigError("; ".join(map(str, problems(exc)))) from exc

    def population(self) -> Population:
        """The users, in the arms of their hashes, and their activity.

        Raises:
            ConfigError: a name is not allowed, or an effect too large.
        """
        (experiment,) = self.blend().experiments
        names = [_user(self.seed, number) for number in range(self.users)]
        places = {arm.id: place for place, arm in enumerate(experiment.arms)}
        arm = np.array([places[arm_of(experiment, name).id] for name in names], dtype=np.int64)
        habits, _ = generators(self.seed)
        return populate(names, arm, self.effects, self.days, self.join_days, habits)

    def records(self, population: Population) -> Iterator[Iterable[Record]]:
        """All records: those of the experiment first, then those of each day, in order.

        Raises:
            ConfigError: a user would be active for longer than a day.
        """
        blend, (_, visits) = self.blend(), generators(self.seed)
        yield [
            ExperimentRecord(d.name, d.version, float(self.start_s), d.to_json())
            for d in definitions(blend)
        ]
        scribe = Scribe(population, blend, self.start_s * 1000, visits)
        for day in range(self.days):
            yield scribe.day(day)


def write(store: Store, days: Iterable[Iterable[Record]]) -> Iterator[Counter[str]]:
    """Keep all records; yields, when all of a day are kept, how many there were of each kind.

    Raises:
        JournalUnavailable: the database cannot be used.
    """
    store.migrate()
    for records in map(iter, days):
        kinds = Counter[str]()
        while batch := list(islice(records, _BATCH)):
            store.add(batch)
            kinds.update(type(record).__name__ for record in batch)
        yield kinds


def _user(seed: int, number: int) -> str:
    return hashlib.blake2b(f"simulated {seed} {number}".encode(), digest_size=16).hexdigest()
