"""Which shares an adaptive arm drew by, and when: from the probabilities in its records."""

import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, Text, cast, func, select

from blended.experiments.definition import Definition
from blended.journal.store import Store
from blended.journal.tables import responses

Shares = Mapping[str, float]

# Shares from one file are equal but for rounding.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class DrawnMix:
    """The responses of a day that were drawn by the same shares, those above 0."""

    day: int
    shares: Shares
    responses: int
    first_at: float
    last_at: float


@dataclass(frozen=True)
class DayMix:
    """The mean of the shares by which the responses of a day were drawn."""

    day: int
    shares: Shares
    responses: int


@dataclass(frozen=True)
class InForce:
    """Since when an arm has drawn by certain shares, and since when their evidence counts.

    `since` is None as long as it has not drawn by them. `evidence_since` is when the arm last began
    to draw uniformly after other shares, None if it never did.
    """

    since: float | None
    evidence_since: float | None


def drawn_mixes(store: Store, definition: Definition, arm: str, until: float) -> list[DrawnMix]:
    """What an arm drew by, from the experiment's start until before a time, by day and shares."""
    column = responses.c
    at = column.started_at
    ahead_ms = (at + definition.offset_s) * 1000
    day: Any = cast(ahead_ms, BigInteger) // round(definition.day_s * 1000)
    # Equal distributions have equal versions.
    chosen = (
        select(
            day.label("day"),
            func.min(cast(column.probabilities, Text)).label("probabilities"),
            func.count().label("responses"),
            func.min(at).label("first_at"),
            func.max(at).label("last_at"),
        )
        .where(column.experiment == definition.name, column.arm == arm)
        .where(at >= definition.start, at < until)
        .group_by(day, column.distribution)
    )
    found = [
        DrawnMix(
            row.day,
            {name: p for name, p in json.loads(row.probabilities).items() if p},
            row.responses,
            row.first_at,
            row.last_at,
        )
        for rows in store.stream(chosen, 1000)
        for row in rows
    ]
    return sorted(found, key=lambda mix: (mix.day, mix.first_at))


def by_day(mixes: Sequence[DrawnMix]) -> list[DayMix]:
    """The mean shares of each day, requests that only some components could answer included."""
    found = list[DayMix]()
    for day in sorted({mix.day for mix in mixes}):
        its = [mix for mix in mixes if mix.day == day]
        found.append(DayMix(day, mean_shares(its), sum(mix.responses for mix in its)))
    return found


def mean_shares(mixes: Collection[DrawnMix]) -> dict[str, float]:
    """The mean of the shares by which responses were drawn."""
    total = sum(mix.responses for mix in mixes)
    names = dict.fromkeys(name for mix in mixes for name in mix.shares)
    return {
        name: math.fsum(mix.responses * mix.shares.get(name, 0.0) for mix in mixes) / total
        for name in names
    }


def in_force(mixes: Sequence[DrawnMix], shares: Shares) -> InForce:
    """Since when an arm draws by these shares, all of which are above 0.

    Only responses that every component could answer tell.
    """
    full = [mix for mix in mixes if mix.shares.keys() == shares.keys()]
    its = [mix for mix in full if are_equal(mix.shares, shares)]
    other_at = max((mix.last_at for mix in full if mix not in its), default=-math.inf)
    since = min(
        (max(mix.first_at, other_at) for mix in its if mix.last_at > other_at), default=None
    )
    return InForce(since, _uniform_since(full))


def _uniform_since(mixes: Sequence[DrawnMix]) -> float | None:
    """When the arm last began to draw uniformly, after it had drawn otherwise."""
    uniform = [mix for mix in mixes if are_equal(mix.shares, uniform_shares(mix.shares))]
    last_at = max((mix.last_at for mix in uniform), default=-math.inf)
    # Replicas of the router change one after another: what overlaps with it comes after it.
    others = (mix.last_at for mix in mixes if mix not in uniform)
    return max((at for at in others if at < last_at), default=None)


def uniform_shares(components: Collection[str]) -> dict[str, float]:
    """Equal shares."""
    return dict.fromkeys(components, 1 / len(components))


def are_equal(one: Shares, other: Shares) -> bool:
    """Whether two mixes are the same but for rounding."""
    return one.keys() == other.keys() and all(
        math.isclose(share, other[name], abs_tol=_ROUNDING) for name, share in one.items()
    )
