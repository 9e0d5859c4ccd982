"""The responses that a policy is fitted to and judged by, one row each."""

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import sparse
from sqlalchemy import Row, func, select

from blended.errors import NotEnoughData
from blended.experiments.moments import Array
from blended.hashing import unit_interval
from blended.journal.store import Store
from blended.journal.tables import responses
from blended.learning import features, queries
from blended.learning.decisions import REASONS as REASONS_OF_DECISIONS
from blended.learning.features import Facts, Ints
from blended.learning.reading import Progress
from blended.learning.rewards import YES_OR_NO

_ROWS_AT_ONCE = 5_000
# A policy learns from most users, is chosen by others, and judged by the rest.
_TRAIN, _CHOOSE = 0.6, 0.8
# Why responses are left out, in the order in which the reasons are looked for.
REASONS = {
    "named": REASONS_OF_DECISIONS["named"],
    "repeated": REASONS_OF_DECISIONS["repeated"],
    "unrecalled": "whose facts are not in the journal: `selection.recall` was off, or a policy of "
    "another version was there",
    "partial": "for which other components could be drawn than for most",
}


@dataclass(frozen=True)
class Rows:
    """m responses of `users`, by N components that could be drawn for each.

    `user` (m,) numbers the users, `drawn` (m,) the component that was drawn first, `logged` (m, N)
    are the probabilities of that draw. `facts` (m, D) and `words` (m, features.ROWS) are the
    features; `texts` counts the responses whose text is known. `rewards` are (m,), 0 or 1.
    """

    components: tuple[str, ...]
    users: tuple[str, ...]
    user: Ints
    drawn: Ints
    logged: Array
    facts: Array
    words: Any
    texts: int
    rewards: Mapping[str, Array]
    left_out: Mapping[str, int]

    @property
    def propensity(self) -> Array:
        """The probability of what was drawn, (m,)."""
        found: Array = self.logged[np.arange(len(self.drawn)), self.drawn]
        return found

    def train(self) -> "Rows":
        """Those of the users that a policy learns from."""
        return self._of(0, _TRAIN)

    def choose(self) -> "Rows":
        """Those of the users by whom a policy is chosen."""
        return self._of(_TRAIN, _CHOOSE)

    def held_out(self) -> "Rows":
        """Those of the users that no policy has met."""
        return self._of(_CHOOSE, 1)

    def met(self) -> "Rows":
        """Those of all others."""
        return self._of(0, _CHOOSE)

    def _of(self, low: float, high: float) -> "Rows":
        places = np.array([unit_interval("policy", user) for user in self.users])
        wanted = (places >= low) & (places < high)
        kept = wanted[self.user] if len(self.users) else np.zeros(0, dtype=bool)
        found, user = np.unique(self.user[kept], return_inverse=True)
        words = self.words[np.flatnonzero(kept)]
        return replace(
            self,
            users=tuple(self.users[place] for place in found),
            user=user,
            drawn=self.drawn[kept],
            logged=self.logged[kept],
            facts=self.facts[kept],
            words=words,
            texts=int((np.diff(words.indptr) > 0).sum()),
            rewards={name: column[kept] for name, column in self.rewards.items()},
        )


def read(
    store: Store, since: float, now: float, progress: Progress, day_s: float = queries.DAY_S
) -> Rows:
    """The responses since a time whose rewards are known.

    `progress` is called with the done part of the work, from 0 to 1.

    Raises:
        NotEnoughData: there are none.
        JournalUnavailable: the database does not answer.
    """
    column = responses.c.started_at
    span = select(func.min(column), func.max(column))
    [(first, last)] = [tuple(row) for rows in store.stream(span, 1) for row in rows]
    found = Collected()
    if first is not None:
        begin, end = max(since, first), min(now - day_s, math.nextafter(last, math.inf))
        parts = max(1, math.ceil((end - begin) / day_s))
        for part in range(parts):
            low, high = begin + part * day_s, min(begin + (part + 1) * day_s, end)
            for rows in store.stream(queries.each(low, high, day_s), _ROWS_AT_ONCE):
                found.add(rows)
            progress((part + 1) / parts)
    return found.rows()


@dataclass(frozen=True)
class _Response:
    user: str
    drawn: str
    logged: Mapping[str, float]
    facts: Facts
    terms: Ints
    rewards: tuple[float, ...]


class Collected:
    """Responses as they come from the database, reduced to what a policy may know of them."""

    def __init__(self) -> None:
        self._kept = list[_Response]()
        self._logged = dict[str, Mapping[str, float]]()
        self._left_out = Counter[str]()

    def add(self, rows: Iterable[Row[Any]]) -> None:
        """Take the responses of which a policy could have known."""
        for row in rows:
            logged = self._probabilities(row.probabilities)
            facts = Facts.from_json(json.loads(row.facts or "null") or {})
            reason = _reason(row, logged, facts)
            if reason is not None or facts is None:
                self._left_out[reason or "unrecalled"] += 1
                continue
            spoken = features.words(features.last_message((row.content or {}).get("messages", ())))
            rewards = tuple(float(getattr(row, name)) for name in YES_OR_NO)
            terms = features.rows(spoken)
            self._kept.append(_Response(row.user, row.drawn, logged, facts, terms, rewards))

    def rows(self) -> Rows:
        """All of them, as arrays.

        Raises:
            NotEnoughData: there are none.
        """
        if not self._kept:
            why = "; ".join(f"{n:,} {REASONS[name]}" for name, n in self._left_out.items() if n)
            raise NotEnoughData(
                "No response of a named user that is older than a day can be learned from"
                + (f": left out are {why}." if why else ".")
            )
        sets = Counter(tuple(sorted(one.logged)) for one in self._kept)
        [(components, _)] = sets.most_common(1)
        kept = [one for one in self._kept if set(one.logged) == set(components)]
        self._left_out["partial"] += len(self._kept) - len(kept)
        users = sorted({one.user for one in kept})
        number = {user: place for place, user in enumerate(users)}
        rewards = np.array([one.rewards for one in kept])
        return Rows(
            components=components,
            users=tuple(users),
            user=np.array([number[one.user] for one in kept]),
            drawn=np.array([components.index(one.drawn) for one in kept]),
            logged=np.array([[one.logged[name] for name in components] for one in kept]),
            facts=np.array([features.vector(one.facts, components) for one in kept]),
            words=as_matrix([one.terms for one in kept]),
            texts=sum(len(one.terms) > 0 for one in kept),
            rewards=dict(zip(YES_OR_NO, rewards.T, strict=True)),
            left_out={name: self._left_out[name] for name in REASONS},
        )

    def _probabilities(self, text: str) -> Mapping[str, float]:
        if text not in self._logged:
            self._logged[text] = {name: p for name, p in json.loads(text).items() if p}
        return self._logged[text]


def as_matrix(terms: Sequence[Ints]) -> Any:
    """The terms of messages as a sparse matrix (m, features.ROWS), each message scaled."""
    sizes = [len(found) for found in terms]
    values = np.repeat([1 / features.scale(size) for size in sizes], sizes)
    indices = np.concatenate(terms) if sum(sizes) else np.zeros(0, dtype=np.int64)
    ends = np.concatenate([[0], np.cumsum(sizes)])
    return sparse.csr_array((values, indices, ends), shape=(len(terms), features.ROWS))


def _reason(row: Row[Any], logged: Mapping[str, float], facts: Facts | None) -> str | None:
    if len(logged) < 2:
        return "named"
    if row.is_repeated:
        return "repeated"
    return None if facts is not None else "unrecalled"
