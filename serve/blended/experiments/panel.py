"""An experiment's users, day by day, and their moments by arm."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, reduce
from operator import add

import numpy as np

from blended.experiments.calendar_days import CalendarDays
from blended.experiments.checked_responses import NONE, CheckedResponses
from blended.experiments.definition import Definition
from blended.experiments.moments import Array, Moments
from blended.experiments.user_days import Ints
from blended.experiments.window import LONGEST_DAY, Window, window

_USERS_AT_ONCE = 20_000


@dataclass(frozen=True)
class LeftOut:
    """Users who are in no arm here.

    `crossed` were met in several arms or in none, `known` came before the start of an experiment
    for new users, and `programs` were in sessions for most of a day and night. `crossed_by` counts
    the crossed in each arm in which they were met.
    """

    crossed: int = 0
    known: int = 0
    programs: Mapping[str, int] = field(default_factory=dict)
    crossed_by: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class ExperimentPanel:
    """The users who were enrolled, and what they did until before day `end_day` (since 1970).

    Of n users: `arm` (n,) is an index into the definition's arms, `joined` (n,) their first day,
    `totals` their sums, each (n,). Of m user-days: `user` (m,), `day` (m,) since joining, `seconds`
    (m,) and `responses` (m,). `caps` are the largest values of a user-day, beyond which all values
    were cut to these. The experiment was to end at `planned_end`, whatever its definition says now.
    """

    definition: Definition
    end_day: int
    arm: Ints
    joined: Ints
    totals: dict[str, Array]
    user: Ints
    day: Ints
    seconds: Array
    responses: Array
    checked: CheckedResponses = NONE
    left_out: LeftOut = LeftOut()
    caps: Mapping[str, float] = field(default_factory=dict)
    planned_end: float | None = None

    @property
    def end(self) -> float:
        """The end of the observed time, in Unix seconds."""
        return self.definition.time_of(self.end_day)

    @property
    def days(self) -> int:
        """The last day after joining on which a user has been observed, at most 30."""
        if not len(self.joined):
            return 0
        return int(min(self.end_day - 1 - self.joined.min(), LONGEST_DAY))

    @property
    def window(self) -> Window:
        """The days after joining that the verdict is on."""
        planned = self.planned_end or self.definition.end
        return window(self.definition, planned, self.days)

    @property
    def ran_as_planned(self) -> bool:
        """Whether it ended when it was to end, and has records until then."""
        planned = self.planned_end or self.definition.end
        is_last = self.end_day == self.definition.day_of(planned)
        return planned == self.definition.end and is_last and self.end_day - 1 not in self.gaps

    def counts(self) -> list[int]:
        """How many users are enrolled in each arm."""
        return [int(n) for n in np.bincount(self.arm, minlength=len(self.definition.arms))]

    @cached_property
    def calendar(self) -> CalendarDays:
        """Joiners, visitors and records by day and arm, from the first day of the experiment."""
        first = self.definition.day_of(self.definition.start)
        shape = (max(self.end_day - first, 0), len(self.definition.arms))

        def count(day: Ints, arm: Ints, weights: Array | None = None) -> Array:
            place = (day - first) * shape[1] + arm
            counted = np.bincount(place, weights, minlength=shape[0] * shape[1])
            return counted.astype(float).reshape(shape)

        day, arm = self.joined[self.user] + self.day, self.arm[self.user]
        joiners = count(self.joined, self.arm)
        return CalendarDays(first, joiners, count(day, arm), count(day, arm, self.responses))

    @cached_property
    def gaps(self) -> Ints:
        """The days without any record, on which nobody is taken to have been observed."""
        return self.calendar.gaps()

    def moments(self) -> list[Moments]:
        """The moments of each arm: of the totals, of each day's observed, active, seconds, and of
        their sums over the days of the verdict."""
        kinds = ("observed", "active", "seconds")
        curves = [f"{kind}_{k}" for kind in kinds for k in range(1, self.days + 1)]
        columns = (*self.totals, "observed_days", *curves, *(f"window_{kind}" for kind in kinds))
        totals = np.column_stack([*self.totals.values(), self._observed_days()])
        order = np.argsort(self.user, kind="stable")
        bounds = np.searchsorted(self.user[order], np.arange(len(self.arm) + 1))
        verdict = slice(self.window.first - 1, self.window.seen)
        parts: list[list[Moments]] = [[] for _ in self.definition.arms]
        for low in range(0, max(len(self.arm), 1), _USERS_AT_ONCE):
            high = min(low + _USERS_AT_ONCE, len(self.arm))
            days = self._curves(low, high, order[bounds[low] : bounds[high]])
            sums = np.column_stack([of_day[:, verdict].sum(axis=1) for of_day in days])
            values = np.hstack([totals[low:high], *days, sums])
            for arm, found in enumerate(parts):
                found.append(Moments.of(columns, values[self.arm[low:high] == arm]))
        return [reduce(add, found) for found in parts]

    def _observed_days(self) -> Array:
        """The days on which each user could have been seen, from the one on which they joined."""
        missing = len(self.gaps) - np.searchsorted(self.gaps, self.joined)
        return (self.end_day - self.joined - missing).astype(float)

    def _curves(self, low: int, high: int, rows: Ints) -> tuple[Array, Array, Array]:
        """Whether users were observed and active on each day from 1, and for how many seconds."""
        after = self.joined[low:high, None] + np.arange(1, self.days + 1)
        observed = (after < self.end_day) & ~np.isin(after, self.gaps)
        active, seconds = np.zeros((2, high - low, self.days))
        rows = rows[(self.day[rows] >= 1) & (self.day[rows] <= self.days)]
        where = self.user[rows] - low, self.day[rows] - 1
        active[where], seconds[where] = 1.0, self.seconds[rows]
        return observed.astype(float), active, seconds
