"""From the journal to the panel: who is in an experiment, and what of their days counts."""

from dataclasses import dataclass
from functools import partial

import numpy as np

from blended.experiments import checked_responses, user_days
from blended.experiments.definition import Definition
from blended.experiments.moments import Array
from blended.experiments.panel import ExperimentPanel, LeftOut
from blended.experiments.user_days import SAID, SUMS, Flags, Ints, Progress, UserDays
from blended.journal.store import Store

# Nobody is in sessions for 20 of 24 hours: that is a program.
AROUND_THE_CLOCK = 20 / 24
_DAY_S = 86_400.0
# The part of all user-days, those of all arms together, whose values stay as they are.
UNCAPPED = 0.999
CAPPED = ("active_s", "turns")
_BEFORE = ("active_days", *SUMS)


@dataclass(frozen=True)
class _Enrolled:
    """Each user's first day and arm, and who of them counts, all of shape (n,)."""

    joined: Ints
    arm: Ints
    keep: Flags
    left_out: LeftOut


def read(
    store: Store,
    definition: Definition,
    now: float,
    progress: Progress,
    planned_end: float | None = None,
) -> ExperimentPanel:
    """The panel of an experiment until its end, or until today: a day that is not over is left out.

    `progress` is called with the done part of the work, from 0 to 1.

    Raises:
        JournalUnavailable: the database does not answer.
    """
    end_day = definition.day_of(min(now, definition.end))
    end = definition.time_of(end_day)
    arms = [arm.id for arm in definition.arms]
    days = user_days.user_days(store, definition, end, arms, progress)
    is_known, before = _past(store, definition, days)
    said = user_days.said(store, definition, end, days.index)
    found = _enrolled(definition, days, end_day, is_known)
    capped, caps = _capped(days.sums, found.keep[days.user])
    place = np.where(found.keep, np.cumsum(found.keep) - 1, -1)
    rows = found.keep[days.user]
    totals = _totals(days, capped, said, before)
    return ExperimentPanel(
        definition=definition,
        end_day=end_day,
        arm=found.arm[found.keep],
        joined=found.joined[found.keep],
        totals={name: column[found.keep] for name, column in totals.items()},
        user=place[days.user[rows]],
        day=(days.day - found.joined[days.user])[rows],
        seconds=capped[rows, SUMS.index("active_s")],
        responses=capped[rows, SUMS.index("responses")],
        checked=checked_responses.read(store, definition, end, days.index).of_users(place),
        left_out=found.left_out,
        caps=caps,
        planned_end=planned_end,
    )


def _past(store: Store, definition: Definition, days: UserDays) -> tuple[Flags, Array]:
    """Whether each user came before the experiment, and what the user did before it."""
    n = len(days.index)
    if definition.eligible == "new":
        known = user_days.known_before(store, definition.start, days.index)
        return known, np.zeros((n, len(_BEFORE)))
    return np.zeros(n, dtype=bool), user_days.history(store, definition, days.index)


def _enrolled(definition: Definition, days: UserDays, end_day: int, is_known: Flags) -> _Enrolled:
    joined, arm, is_crossed = _joined(days, end_day, len(definition.arms))
    is_known = is_known & ~is_crossed
    is_program = _around_the_clock(days, definition.day_s) & ~is_crossed & ~is_known
    programs = {
        of.id: int((is_program & (arm == number)).sum())
        for number, of in enumerate(definition.arms)
    }
    of_crossed = is_crossed[days.user]
    crossed_by = {
        of.id: len(np.unique(days.user[of_crossed & (days.arm == number)]))
        for number, of in enumerate(definition.arms)
    }
    left_out = LeftOut(int(is_crossed.sum()), int(is_known.sum()), programs, crossed_by)
    return _Enrolled(joined, arm, ~is_crossed & ~is_known & ~is_program, left_out)


def _joined(days: UserDays, end_day: int, arms: int) -> tuple[Ints, Ints, Flags]:
    """Each user's first day and arm, and whether they were met in another arm, or in none."""
    n = len(days.index)
    joined = np.full(n, end_day)
    np.minimum.at(joined, days.user, days.day)
    lowest, highest = np.full(n, arms), np.zeros(n, dtype=np.int64)
    np.minimum.at(lowest, days.user, days.arm)
    np.maximum.at(highest, days.user, days.arm)
    return joined, lowest, (lowest != highest) | (highest == arms)


def _around_the_clock(days: UserDays, day_s: float) -> Flags:
    """Who was in sessions for most of a day; on a rehearsal's short days a single answer may be."""
    there_s = days.sums[:, SUMS.index("active_s")] + days.sums[:, SUMS.index("waited_s")]
    found = np.zeros(len(days.index), dtype=bool)
    found[days.user[there_s > AROUND_THE_CLOCK * max(day_s, _DAY_S)]] = True
    return found


def _capped(sums: Array, rows: Flags) -> tuple[Array, dict[str, float]]:
    """The user-days with the largest values cut off, at a value that is the same in every arm."""
    capped, caps = sums.copy(), dict[str, float]()
    for name in CAPPED if rows.any() else ():
        column = SUMS.index(name)
        caps[name] = float(np.quantile(sums[rows, column], UNCAPPED, method="higher"))
        capped[:, column] = np.minimum(sums[:, column], caps[name])
    return capped, caps


def _totals(days: UserDays, sums: Array, said: Array, before: Array) -> dict[str, Array]:
    summed = partial(np.bincount, days.user, minlength=len(days.index))
    return {
        "active_days": summed().astype(float),
        **{name: summed(column) for name, column in zip(SUMS, sums.T, strict=True)},
        **dict(zip(SAID, said.T, strict=True)),
        **{f"before_{name}": column for name, column in zip(_BEFORE, before.T, strict=True)},
    }
