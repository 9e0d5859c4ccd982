"""The journal's data on an experiment's users, as arrays."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Select, func, select

from blended.experiments.definition import Definition
from blended.experiments.moments import Array
from blended.journal import queries
from blended.journal.store import Store
from blended.journal.tables import responses

# The days before the experiment whose activity is the users' history.
HISTORY_DAYS = 28
SUMS = (
    "responses",
    "turns",
    "conversations",
    "active_s",
    "waited_s",
    "prompt_tokens",
    "completion_tokens",
    "retries",
    "failures",
    "ttft_s",
    "ttft_responses",
    "repetition",
    "repetition_responses",
    "engine_s",
)
SAID = ("thumbs", "thumbs_up", "edits")

_DAYS_AT_ONCE = 7
_ROWS_AT_ONCE = 20_000
_AT_ONCE = 2

Progress = Callable[[float], None]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class UserDays:
    """The activity of users on their days; `index` has the numbers of the n users in the rows.

    Of m rows: `user` (m,), `day` (m,) since 1970, `arm` (m,) as an index into the arms, and `sums`
    (m, len(SUMS)). A user who was in two arms on a day has two rows.
    """

    index: Mapping[str, int]
    user: Ints
    day: Ints
    arm: Ints
    sums: Array


def user_days(
    store: Store, definition: Definition, end: float, arms: Sequence[str], progress: Progress
) -> UserDays:
    """The days of all users in the experiment, from its start until before `end`."""
    index: dict[str, int] = {}
    # An arm that the definition no longer has counts as one more arm, so that it is noticed.
    codes = {arm: code for code, arm in enumerate(arms)}
    keys, sums = [np.empty((0, 3), dtype=np.int64)], [np.empty((0, len(SUMS)))]
    weeks = list(_weeks(definition, end))
    # The database works on the next ones while these become arrays.
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for done, rows in enumerate(pool.map(partial(_rows, store, definition), weeks), 1):
            for batch in rows:
                keys.append(_keys(batch.units, index, codes))
                sums.append(batch.sums)
            progress(done / len(weeks))
    columns = np.concatenate(keys)
    return UserDays(index, columns[:, 0], columns[:, 1], columns[:, 2], np.concatenate(sums))


class _Batch(NamedTuple):
    """User, day and arm of some rows, and their sums (m, len(SUMS))."""

    units: list[tuple[str, int, str]]
    sums: Array


def _rows(store: Store, definition: Definition, week: tuple[float, float]) -> list[_Batch]:
    engines = {name: float(gpus) for name, gpus in definition.gpus.items() if gpus}
    days = queries.user_days(
        *week, definition.session_gap_s, definition.day_s, engines, definition.offset_s
    ).subquery()
    chosen = select(days.c.user, days.c.day, days.c.arm, *_columns(days))
    of_experiment = chosen.where(days.c.experiment == definition.name)
    return [
        _Batch(
            [(row.user, row.day, row.arm) for row in rows],
            np.array([tuple(row)[3:] for row in rows], dtype=float),
        )
        for rows in store.stream(of_experiment, _ROWS_AT_ONCE)
    ]


def _keys(
    units: Iterable[tuple[str, int, str]], index: dict[str, int], codes: Mapping[str, int]
) -> Ints:
    found = [
        (index.setdefault(user, len(index)), day, codes.get(arm, len(codes)))
        for user, day, arm in units
    ]
    return np.array(found, dtype=np.int64)


def _weeks(definition: Definition, end: float) -> Iterator[tuple[float, float]]:
    """The time from the start until before `end`, in parts that begin with a day."""
    since = definition.time_of(definition.day_of(definition.start))
    while since < end:
        until = min(since + _DAYS_AT_ONCE * definition.day_s, end)
        yield since, until
        since = until


def said(store: Store, definition: Definition, end: float, index: Mapping[str, int]) -> Array:
    """What each user said of responses, shape (n, len(SAID))."""
    rows = queries.user_feedback(definition.start, end).subquery()
    chosen = select(rows.c.user, *(rows.c[name] for name in SAID))
    return _by_user(store, chosen.where(rows.c.experiment == definition.name), index, len(SAID))


def history(store: Store, definition: Definition, index: Mapping[str, int]) -> Array:
    """What each user did in the days before the start, shape (n, 1 + len(SUMS)).

    The number of days on which they came is first. What the experiment has answered is left out: it
    may belong to a session that began before.
    """
    since = definition.start - HISTORY_DAYS * definition.day_s
    days = queries.user_days(
        since,
        definition.start,
        definition.session_gap_s,
        definition.day_s,
        offset_s=definition.offset_s,
    ).subquery()
    sums = (func.sum(column) for column in _columns(days))
    chosen = select(days.c.user, func.count(days.c.day.distinct()), *sums)
    before = chosen.where(days.c.experiment.is_distinct_from(definition.name))
    return _by_user(store, before.group_by(days.c.user), index, 1 + len(SUMS))


def known_before(store: Store, start: float, index: Mapping[str, int]) -> NDArray[np.bool_]:
    """Which users have responses from before a time, shape (n,)."""
    column = responses.c
    chosen = select(column.user, func.count()).where(column.started_at < start)
    counts = _by_user(store, chosen.group_by(column.user), index, 1)
    return counts[:, 0] > 0


def _by_user(store: Store, chosen: Select[Any], index: Mapping[str, int], width: int) -> Array:
    sums = np.zeros((len(index), width))
    for rows in store.stream(chosen, _ROWS_AT_ONCE):
        for row in rows:
            if row[0] in index:
                sums[index[row[0]]] += np.array(row[1:], dtype=float)
    return sums


def _columns(days: Any) -> list[Any]:
    return [days.c[name] for name in SUMS]
