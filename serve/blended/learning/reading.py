"""From the journal to decisions."""

import json
import math
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
from sqlalchemy import Row, func, select

from blended.journal.store import Store
from blended.journal.tables import responses
from blended.learning import queries
from blended.learning.decisions import REASONS, Decisions
from blended.learning.drawing import Drawing
from blended.learning.rewards import SUMS

_DAYS_AT_ONCE = 28
_ROWS_AT_ONCE = 20_000
_AT_ONCE = 2
# Batches are merged when there are so many; a row's key holds its user and its kind of draw.
_BATCHES_KEPT = 25
_MOST_KINDS = 2**24


Progress = Callable[[float], None]


def read(
    store: Store,
    since: float,
    now: float,
    progress: Progress,
    day_s: float = queries.DAY_S,
    experiment: str | None = None,
    half_life_s: float = math.inf,
) -> Decisions:
    """The decisions since a time, as far as their rewards are known; of one experiment, or of all.

    `progress` is called with the done part of the work, from 0 to 1. With a half-life the sums are
    weighted by age, day by day: those that are a half-life old count half.

    Raises:
        JournalUnavailable: the database does not answer.
    """
    started_at = responses.c.started_at
    span = select(func.min(started_at), func.max(started_at))
    [(first, last)] = [tuple(row) for rows in store.stream(span, 1) for row in rows]
    is_empty = first is None
    until = now - day_s if is_empty else min(now - day_s, math.nextafter(last, math.inf))
    days = _DAYS_AT_ONCE if math.isinf(half_life_s) else 1
    parts = [] if is_empty else list(_parts(max(since, first), until, days * day_s))
    found = _Collected(store)
    weigh = partial(_weight_at, until, half_life_s)
    take = partial(_take, store, day_s, experiment, found, weigh)
    # The database works on the next part while this one becomes arrays.
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        reading = pool.map(take, parts)
        for done, _ in enumerate(reading, 1):
            progress(done / len(parts))
    return found.decisions()


def aged(age_s: float, half_life_s: float) -> float:
    """The weight of something so old: it halves with every half-life."""
    return float(0.5 ** (age_s / half_life_s))


def _weight_at(until: float, half_life_s: float, at: float) -> float:
    return aged(until - at, half_life_s)


def _take(
    store: Store,
    day_s: float,
    experiment: str | None,
    found: "_Collected",
    weigh: Callable[[float], float],
    part: tuple[float, float],
) -> None:
    rows = queries.decisions(*part, day_s).subquery().c
    chosen = select(*(rows[name] for name in (*queries.UNIT, *SUMS)))
    if experiment is not None:
        chosen = chosen.where(rows.experiment == experiment)
    for batch in store.stream(chosen, _ROWS_AT_ONCE):
        found.add(batch, weigh(part[1]))


class _Collected:
    """Rows as they come, by any thread, with numbers for users and kinds of draws."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._distributions: dict[str, Mapping[str, float]] = {}
        self._users: dict[str, int] = {}
        self._kinds: dict[tuple[Any, ...], int | str] = {}
        self._drawings: list[Drawing] = []
        self._left_out: Counter[str] = Counter()
        self._keys = [np.empty(0, dtype=np.int64)]
        self._sums = [np.empty((0, len(SUMS)))]

    def add(self, rows: Sequence[Row[Any]], weight: float = 1.0) -> None:
        """Take the decisions among these rows, so weighted, and count the others."""
        width = len(queries.UNIT)
        keys, places = list[int](), list[int]()
        sums = np.array([tuple(row)[width:] for row in rows], dtype=float)
        with self._lock:
            for place, row in enumerate(rows):
                kind = self._kind(tuple(row)[1:width])
                if isinstance(kind, str):
                    self._left_out[kind] += int(sums[place, 0])
                else:
                    user = self._users.setdefault(row[0], len(self._users))
                    keys.append(user * _MOST_KINDS + kind)
                    places.append(place)
            self._keys.append(np.array(keys, dtype=np.int64))
            self._sums.append(weight * sums[places])
            if len(self._keys) > _BATCHES_KEPT:
                self._merge()

    def _merge(self) -> None:
        """Add up the rows of one user and kind of draw, which come from different parts."""
        keys, place = np.unique(np.concatenate(self._keys), return_inverse=True)
        columns = np.concatenate(self._sums).T
        sums = [np.bincount(place, column, len(keys)).astype(float) for column in columns]
        self._keys, self._sums = [keys], [np.column_stack(sums)]

    def decisions(self) -> Decisions:
        """All of them."""
        self._merge()
        ((keys,), (sums,)) = self._keys, self._sums
        # In the order of their names, whichever thread met them first.
        rank = np.argsort(np.argsort(np.array(list(self._users), dtype=str)))
        return Decisions(
            len(self._users),
            rank[keys // _MOST_KINDS],
            tuple(self._drawings),
            keys % _MOST_KINDS,
            sums,
            {reason: self._left_out[reason] for reason in REASONS},
        )

    def _kind(self, unit: tuple[Any, ...]) -> int | str:
        """The number of a kind of draw, or the reason why it is no decision."""
        if unit not in self._kinds:
            fields = dict(zip(queries.UNIT[1:], unit, strict=True))
            fields |= {name: json.loads(fields[name] or "null") for name in queries.DOCUMENTS}
            reason = self._reason(fields)
            self._kinds[unit] = reason or len(self._drawings)
            if reason is None:
                self._drawings.append(_drawing(fields, self._distribution(fields)))
        return self._kinds[unit]

    def _reason(self, fields: Mapping[str, Any]) -> str | None:
        logged = self._distribution(fields)
        if len(logged) < 2:
            return "named"
        if fields["is_repeated"]:
            return "repeated"
        return None if logged.keys() >= set(_asked(fields)) else "unseated"

    def _distribution(self, fields: Mapping[str, Any]) -> Mapping[str, float]:
        version = fields["distribution"]
        if version not in self._distributions:
            self._distributions[version] = queries.distribution(
                self._store, version, fields["given"]
            )
        return self._distributions[version]


def _drawing(fields: Mapping[str, Any], logged: Mapping[str, float]) -> Drawing:
    answered, asked = fields["component"], _asked(fields)
    left = frozenset(fields["left"]) if fields["left"] else _all_left(fields, logged)
    head = fields["experiment"], fields["arm"]
    return Drawing(*head, logged, fields["drawn"], answered, asked, left, fields["before"])


def _asked(fields: Mapping[str, Any]) -> tuple[str, ...]:
    """The components that were asked, each once, the one that answered last."""
    answered = fields["component"]
    failed = [failure["component"] for failure in fields["failures"]]
    return tuple(dict.fromkeys([*failed, *([answered] if answered else [])]))


def _all_left(fields: Mapping[str, Any], logged: Mapping[str, float]) -> frozenset[str] | None:
    """In records without `left`: all, if the propensity says that nobody was out."""
    answered = fields["component"]
    if answered is None or not math.isclose(fields["propensity"], logged[answered]):
        return None
    return frozenset(logged)


def _parts(since: float, until: float, length_s: float) -> Iterator[tuple[float, float]]:
    while since < until:
        end = min(since + length_s, until)
        yield since, end
        since = end
