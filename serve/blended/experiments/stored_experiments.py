"""Experiments in the journal: their definitions, and the draws in them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import func, select

from blended.errors import ConfigError
from blended.experiments.definition import Definition
from blended.journal.store import Store
from blended.journal.tables import experiments, responses


@dataclass(frozen=True)
class Known:
    """The present definition of an experiment, and sentences on changes of it.

    `planned_end` is the end that it had when it began: moving the end afterwards takes back what
    intervals for one look promise.
    """

    definition: Definition
    planned_end: float
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Realised:
    """How often a component was drawn in an arm, and how often it answered."""

    drawn: int
    answered: int


def find(store: Store, name: str) -> Known:
    """The experiment of a name.

    Raises:
        ConfigError: the journal knows none.
    """
    column = experiments.c
    chosen = select(column.name, column.definition, column.first_at).order_by(column.last_at)
    rows = [row for batch in store.stream(chosen, 100) for row in batch]
    versions = [(Definition.from_json(r.definition), r.first_at) for r in rows if r.name == name]
    if not versions:
        names = ", ".join(sorted({row.name for row in rows})) or "none"
        raise ConfigError(f"The journal knows no experiment '{name}'; it knows: {names}.")
    current, _ = versions[-1]
    planned = _planned_end(versions)
    notes = tuple(
        f"Another version of this experiment ran from {datetime.fromtimestamp(at, UTC):%F %T}, "
        "with other arms, shares or users: those who were met in two arms are left out."
        for version, at in versions[:-1]
        if version.deciding != current.deciding and at >= min(version.start, current.start)
    )
    if planned != current.end:
        notes += (
            f"Its end was moved from {datetime.fromtimestamp(planned, UTC):%F %T} to "
            f"{datetime.fromtimestamp(current.end, UTC):%F %T} after it had begun.",
        )
    return Known(current, planned, notes)


def _planned_end(versions: Sequence[tuple[Definition, float]]) -> float:
    """The end in the version that was there when the experiment began."""
    by_time = sorted(versions, key=lambda version: version[1])
    begun = [definition for definition, first_at in by_time if first_at <= definition.start]
    return begun[-1].end if begun else by_time[0][0].end


def simulated(store: Store) -> frozenset[str]:
    """The names of the experiments whose users are simulated, by their present definitions."""
    column = experiments.c
    chosen = select(column.name, column.definition).order_by(column.last_at)
    known = {row.name: row.definition for rows in store.stream(chosen, 100) for row in rows}
    return frozenset(name for name, definition in known.items() if definition["simulated"])


def realised(
    store: Store, definition: Definition, until: float
) -> Mapping[str, Mapping[str, Realised]]:
    """By arm and component, from the start until before a time."""
    column = responses.c
    chosen = (
        select(column.arm, column.drawn, column.component, func.count().label("responses"))
        .where(column.experiment == definition.name)
        .where(column.started_at >= definition.start, column.started_at < until)
        .group_by(column.arm, column.drawn, column.component)
    )
    drawn: dict[tuple[str, str], int] = {}
    answered: dict[tuple[str, str], int] = {}
    for batch in store.stream(chosen, 1000):
        for row in batch:
            first, last = (row.arm, row.drawn), (row.arm, row.component)
            drawn[first] = drawn.get(first, 0) + row.responses
            answered[last] = answered.get(last, 0) + row.responses
    return {
        arm.id: {
            name: Realised(drawn.get((arm.id, name), 0), answered.get((arm.id, name), 0))
            for name in (_found(arm.id, drawn, answered) if arm.adaptive else arm.probabilities)
        }
        for arm in definition.arms
    }


def _found(arm: str, *counts: Mapping[tuple[str, str], int]) -> list[str]:
    """The components that an arm drew, or got an answer of."""
    return sorted({name for count in counts for of, name in count if of == arm and name})
