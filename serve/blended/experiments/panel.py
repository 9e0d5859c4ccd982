"""An experiment's users, day by day, and their moments by arm."""

from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np
from numpy.typing import NDArray

from blended.experiments import user_days
from blended.experiments.definition import Definition
from blended.experiments.moments import Array, Moments
from blended.experiments.user_days import SAID, SUMS, Ints, Progress, UserDays
from blended.journal.store import Store

LONGEST_DAY = 30
_USERS_AT_ONCE = 20_000
_BEFORE = ("active_days", *SUMS)

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class ExperimentPanel:
    """The users who were enrolled, and what they did until before day `end_day` (since 1970).

    Of n users: `arm` (n,) is an index into the definition's arms, `joined` (n,) their first day,
    `totals` their sums, each (n,). Of m user-days: `user` (m,), `day` (m,) since joining, and
    `seconds` (m,). `crossed` users, who were met in more than one arm, are left out, and so are
    `known` users, who had come before the start of an experiment for new users.
    """

    definition: Definition
    end_day: int
    arm: Ints
    joined: Ints
    totals: dict[str, Array]
    user: Ints
    day: Ints
    seconds: Array
    crossed: int = 0
    known: int = 0

    @property
    def end(self) -> float:
        """The end of the observed time, in Unix seconds."""
        return self.end_day * self.definition.day_s

    @property
    def days(self) -> int:
        """The last day after joining on which a user has been observed, at most 30."""
        if not len(self.joined):
            return 0
        return int(min(self.end_day - 1 - self.joined.min(), LONGEST_DAY))

    def counts(self) -> list[int]:
        """How many users are enrolled in each arm."""
        return [int(n) for n in np.bincount(self.arm, minlength=len(self.definition.arms))]

    def moments(self) -> list[Moments]:
        """The moments of each arm: of the totals, and of each day's observed, active, seconds."""
        kinds = ("observed", "active", "seconds")
        curves = [f"{kind}_{k}" for kind in kinds for k in range(1, self.days + 1)]
        columns = (*self.totals, *curves)
        totals = np.column_stack(list(self.totals.values()))
        order = np.argsort(self.user, kind="stable")
        bounds = np.searchsorted(self.user[order], np.arange(len(self.arm) + 1))
        parts: list[list[Moments]] = [[] for _ in self.definition.arms]
        for low in range(0, max(len(self.arm), 1), _USERS_AT_ONCE):
            high = min(low + _USERS_AT_ONCE, len(self.arm))
            days = self._curves(low, high, order[bounds[low] : bounds[high]])
            values = np.hstack([totals[low:high], *days])
            for arm, found in enumerate(parts):
                found.append(Moments.of(columns, values[self.arm[low:high] == arm]))
        return [reduce(add, found) for found in parts]

    def _curves(self, low: int, high: int, rows: Ints) -> tuple[Array, Array, Array]:
        """Whether users were observed and active on each day from 1, and for how many seconds."""
        after = np.arange(1, self.days + 1)
        observed = self.joined[low:high, None] + after < self.end_day
        active, seconds = np.zeros((2, high - low, self.days))
        rows = rows[(self.day[rows] >= 1) & (self.day[rows] <= self.days)]
        where = self.user[rows] - low, self.day[rows] - 1
        active[where], seconds[where] = 1.0, self.seconds[rows]
        return observed.astype(float), active, seconds


def read(store: Store, definition: Definition, now: float, progress: Progress) -> ExperimentPanel:
    """The panel of an experiment until its end, or until today: a day that is not over is left out.

    `progress` is called with the done part of the work, from 0 to 1.

    Raises:
        JournalUnavailable: the database does not answer.
    """
    end_day = int(min(now, definition.end) // definition.day_s)
    end = end_day * definition.day_s
    arms = [arm.id for arm in definition.arms]
    days = user_days.user_days(store, definition, end, arms, progress)
    is_known, before = _past(store, definition, days)
    said = user_days.said(store, definition, end, days.index)
    return _panel(definition, end_day, days, _totals(days, said, before), is_known)


def _past(store: Store, definition: Definition, days: UserDays) -> tuple[Flags, Array]:
    """Whether each user came before the experiment, and what the user did before it."""
    n = len(days.index)
    if definition.eligible == "new":
        known = user_days.known_before(store, definition.start, days.index)
        return known, np.zeros((n, len(_BEFORE)))
    return np.zeros(n, dtype=bool), user_days.history(store, definition, days.index)


def _totals(days: UserDays, said: Array, before: Array) -> dict[str, Array]:
    n = len(days.index)
    active = np.bincount(days.user, minlength=n).astype(float)
    sums = [np.bincount(days.user, column, minlength=n) for column in days.sums.T]
    return {
        "active_days": active,
        **dict(zip(SUMS, sums, strict=True)),
        **dict(zip(SAID, said.T, strict=True)),
        **{f"before_{name}": column for name, column in zip(_BEFORE, before.T, strict=True)},
    }


def _panel(
    definition: Definition,
    end_day: int,
    days: UserDays,
    totals: dict[str, Array],
    is_known: Flags,
) -> ExperimentPanel:
    joined, arm, is_crossed = _joined(days, end_day, len(definition.arms))
    totals["observed_days"] = (end_day - joined).astype(float)
    keep = ~is_crossed & ~is_known
    rows = keep[days.user]
    return ExperimentPanel(
        definition,
        end_day,
        arm[keep],
        joined[keep],
        {name: column[keep] for name, column in totals.items()},
        (np.cumsum(keep) - 1)[days.user[rows]],
        (days.day - joined[days.user])[rows],
        days.sums[rows, SUMS.index("active_s")],
        int(is_crossed.sum()),
        int((is_known & ~is_crossed).sum()),
    )


def _joined(days: UserDays, end_day: int, arms: int) -> tuple[Ints, Ints, Flags]:
    """Each user's first day and arm, and whether they were met in another arm, or in none."""
    n = len(days.index)
    joined = np.full(n, end_day)
    np.minimum.at(joined, days.user, days.day)
    lowest, highest = np.full(n, arms), np.zeros(n, dtype=np.int64)
    np.minimum.at(lowest, days.user, days.arm)
    np.maximum.at(highest, days.user, days.arm)
    return joined, lowest, (lowest != highest) | (highest == arms)
