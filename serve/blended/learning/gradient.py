"""Which way retention and engagement go with the mix, from the draws of users' first days.

For an outcome R of a user and the mix p at which their responses were drawn, moving the mix toward
component k changes the mean of R at the rate

    E[ (R - E[R]) sum over t of (1[a_t = k] / p_k - 1) ]

where the sum is over the responses whose components a_t were drawn before the outcome (the score
function, Glynn 1987; REINFORCE, Williams 1992). It holds although the draws also change how many
responses there are, which a regression on the components' shares does not see.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from blended.experiments.moments import Array, Moments
from blended.journal.store import Store
from blended.learning import queries
from blended.learning.estimates import Value, smooth

SESSION_GAP_S = 1800.0
_ROWS_AT_ONCE = 20_000


@dataclass(frozen=True)
class Outcome:
    """Something that a user does `offset` days after the first."""

    name: str
    label: str
    offset: int


OUTCOMES = (
    Outcome("retention_1", "R(1), came on the next day", 1),
    Outcome("retention_7", "R(7), came a week later", 7),
    Outcome("time_1", "Seconds on the next day", 1),
)


@dataclass(frozen=True)
class FirstDays:
    """n users who came first: `scores` (n, N) of their first day toward each of N components.

    `results` are the outcomes by name, (n,), and `known` tells of whom, (n,).
    """

    components: tuple[str, ...]
    scores: Array
    results: Mapping[str, Array]
    known: Mapping[str, Array]


@dataclass(frozen=True)
class Gradient:
    """How fast an outcome's mean changes toward each component: per unit of its share."""

    outcome: Outcome
    mean: float
    users: int
    toward: Mapping[str, Value]


def gradients(first: FirstDays) -> list[Gradient]:
    """Of all outcomes that are known of anybody."""
    return [_gradient(first, outcome) for outcome in OUTCOMES if first.known[outcome.name].any()]


def _gradient(first: FirstDays, outcome: Outcome) -> Gradient:
    known = first.known[outcome.name]
    result = first.results[outcome.name] * known
    columns = {"known": known, "result": result}
    for name, score in zip(first.components, first.scores.T, strict=True):
        columns |= {f"{name}.score": score * known, f"{name}.product": score * result}
    moments = Moments.of(tuple(columns), np.column_stack(list(columns.values())))
    toward = {name: _toward(moments, name) for name in first.components}
    users = int(known.sum())
    return Gradient(outcome, float(result.sum() / users), users, toward)


def _toward(moments: Moments, name: str) -> Value:
    """The covariance of outcome and score over the users of whom the outcome is known."""
    places = ("known", "result", f"{name}.score", f"{name}.product")
    known, result, score, product = (moments.total(place) / moments.n for place in places)
    value = product / known - result * score / known**2
    slopes = {
        "known": -product / known**2 + 2 * result * score / known**3,
        "result": -score / known**2,
        f"{name}.score": -result / known**2,
        f"{name}.product": 1 / known,
    }
    effective = min(moments.effective_users(place) for place in ("known", "result"))
    return smooth(moments, value, slopes, effective)


def read(
    store: Store, since: float, now: float, components: Sequence[str], day_s: float
) -> FirstDays:
    """The first days of the users who came first since a time, until today.

    Raises:
        JournalUnavailable: the database does not answer.
    """
    today = int(now // day_s)
    chosen = queries.first_days(since, today * day_s, SESSION_GAP_S * day_s / queries.DAY_S, day_s)
    index: dict[str, int] = {}
    joined, scores = list[int](), list[Array]()
    came = {offset: list[float]() for offset in queries.OFFSETS}
    found = _Scores(store, tuple(components))
    for rows in store.stream(chosen, _ROWS_AT_ONCE):
        for user, day, offset, version, given, drawn, responses, active_s in map(tuple, rows):
            place = index.setdefault(user, len(index))
            if place == len(joined):
                joined.append(day)
                scores.append(np.zeros(len(found.components)))
                for seconds in came.values():
                    seconds.append(0.0)
            if offset == 0:
                scores[place] += responses * found.of(version, given, drawn)
            came[offset][place] += active_s
    return _first_days(found.components, np.array(joined), scores, came, today)


def _first_days(
    components: tuple[str, ...],
    joined: Array,
    scores: Sequence[Array],
    came: Mapping[int, Sequence[float]],
    today: int,
) -> FirstDays:
    seconds = {offset: np.array(active, dtype=float) for offset, active in came.items()}
    results = {
        "retention_1": (seconds[1] > 0).astype(float),
        "retention_7": (seconds[7] > 0).astype(float),
        "time_1": seconds[1],
    }
    known = {o.name: (joined + o.offset < today).astype(float) for o in OUTCOMES}
    return FirstDays(components, np.reshape(scores, (len(joined), len(components))), results, known)


class _Scores:
    """The score of a draw toward each component; 0 where only one could be drawn."""

    def __init__(self, store: Store, components: tuple[str, ...]) -> None:
        self.components = components
        self._store = store
        self._known: dict[tuple[str, str], Array] = {}
        self._logged: dict[str, Mapping[str, float]] = {}

    def of(self, version: str, given: str | None, drawn: str) -> Array:
        """Shape (N,); `given` are the probabilities as JSON where a policy gave them."""
        if (version, drawn) not in self._known:
            if version not in self._logged:
                found = json.loads(given or "null")
                self._logged[version] = queries.distribution(self._store, version, found)
            logged = self._logged[version]
            parts = [
                (name == drawn) / logged[name] - 1.0 if name in logged and len(logged) > 1 else 0.0
                for name in self.components
            ]
            self._known[version, drawn] = np.array(parts)
        return self._known[version, drawn]
