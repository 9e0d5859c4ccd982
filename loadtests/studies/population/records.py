"""Journal records of simulated responses, as a router would have written them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

import numpy as np

from blended.config import BlendConfig
from blended.journal.records import FeedbackRecord, Record, ResponseRecord
from blended.router.selection import SelectionDistribution, draw, normalise, uniform
from loadtests.studies.population.habits import Ints
from loadtests.studies.population.measures import measures
from loadtests.studies.population.users import Population
from loadtests.studies.population.visits import DAY_MS, plan

_THUMBS, _UP, _EDITS = 0.02, 0.7, 0.002
_SAID_AFTER_S = 4.0


class _Row(NamedTuple):
    """One response in numbers, its histories by the first response to each; no parent is -1.

    `said`, uniform in [0, 1), decides about feedback.
    """

    user: int
    conversation: int
    turn: int
    number: int
    lineage: int
    parent: int
    fails: bool
    start_ms: int
    said: float
    e2e_s: float
    router_s: float
    ttft_s: float
    itl_mean_s: float
    itl_p99_s: float
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int


@dataclass(frozen=True)
class _Arm:
    """The fields that all records of an arm share."""

    id: str
    distribution: SelectionDistribution
    probabilities: dict[str, float]


class Scribe:
    """Writes down the days of a population in a blend with one experiment, from `start_ms` on."""

    def __init__(
        self, population: Population, blend: BlendConfig, start_ms: int, rng: np.random.Generator
    ) -> None:
        self._population, self._blend, self._start_ms, self._rng = population, blend, start_ms, rng
        (self._experiment,) = blend.experiments
        self._arms = [_arm(a.id, normalise(blend.arm_weights(a))) for a in self._experiment.arms]

    def day(self, day: int) -> Iterator[Record]:
        """The records of all responses that start on a day, by time; call it day by day.

        All random numbers are drawn at once; the records are made one by one, on iteration.
        """
        user, seconds = self._population.visits_on(day)
        responses = plan(seconds, self._rng)
        size = len(responses.visit)
        numbers = np.arange(size)
        start_ms = self._start_ms + day * DAY_MS + responses.start_ms
        lineage = np.maximum.accumulate(np.where(responses.again, 0, numbers))
        columns = (
            user[responses.visit],
            responses.conversation,
            responses.turn,
            numbers,
            lineage,
            _parents(lineage, responses.turn),
            responses.fails,
            start_ms,
            self._rng.random(size),
            *measures(responses, self._rng),
        )
        order = np.argsort(responses.start_ms, kind="stable")
        rows = map(_Row._make, zip(*(column[order].tolist() for column in columns), strict=True))
        unique = zip(start_ms.tolist(), _digits(size, 10, self._rng), strict=True)
        # Ids begin with the time, also those of histories, so that the database's indexes grow at
        # one end.
        names = _Names(_digits(size, 16, self._rng), [f"{at:012x}{rest}" for at, rest in unique])
        return chain.from_iterable(self._records(row, names) for row in rows)

    def _records(self, row: _Row, names: "_Names") -> Iterator[Record]:
        record = self._response(row, names)
        yield record
        if record.component is not None and row.said < _THUMBS + _EDITS:
            yield _feedback(record, row.said)

    def _response(self, row: _Row, names: "_Names") -> ResponseRecord:
        arm = self._arms[self._population.arm[row.user]]
        conversation = names.conversations[row.conversation]
        unique = names.responses[row.number]
        number = uniform(self._blend.selection.seed, conversation, row.turn, unique)
        drawn = draw(arm.distribution, number)
        fails = row.fails
        return ResponseRecord(
            response_id=f"chatcmpl-{unique}",
            request_id=unique,
            started_at=row.start_ms / 1e3,
            key_name="default",
            user=self._population.names[row.user],
            conversation=conversation,
            turn=row.turn,
            lineage=names.responses[row.lineage],
            parent=names.responses[row.parent] if row.parent >= 0 else None,
            model=self._blend.name,
            experiment=self._experiment.name,
            arm=arm.id,
            distribution=arm.distribution.version,
            probabilities=arm.probabilities,
            uniform=number,
            drawn=drawn.component,
            component=None if fails else drawn.component,
            propensity=None if fails else drawn.propensity,
            failures=[{"component": drawn.component, "reason": "unavailable"}] if fails else [],
            replica=None,
            stream=True,
            prompt_tokens=None if fails else row.prompt_tokens,
            cached_tokens=None if fails else row.cached_tokens,
            completion_tokens=None if fails else row.completion_tokens,
            ttft_s=None if fails else row.ttft_s,
            itl_mean_s=None if fails else row.itl_mean_s,
            itl_p99_s=None if fails else row.itl_p99_s,
            e2e_s=row.e2e_s,
            router_s=row.router_s,
            finish_reason=None if fails else "stop",
            state="failed_before_first_byte" if fails else "finished",
        )


class _Names(NamedTuple):
    """Hexadecimal digits, by number."""

    conversations: Sequence[str]
    responses: Sequence[str]


def _arm(name: str, distribution: SelectionDistribution) -> _Arm:
    return _Arm(name, distribution, distribution.by_component)


def _parents(lineage: Ints, turn: Ints) -> Ints:
    """The lineage of the turn before, which stands just before the first of each lineage."""
    return np.where(turn > 1, lineage[lineage - 1], -1)


def _digits(size: int, length: int, rng: np.random.Generator) -> list[str]:
    """So many texts of two digits for each of `length` bytes."""
    digits, step = rng.bytes(size * length).hex(), 2 * length
    return [digits[at : at + step] for at in range(0, size * step, step)]


def _feedback(record: ResponseRecord, said: float) -> FeedbackRecord:
    about, at = (record.response_id, record.started_at), record.started_at + record.e2e_s
    if said >= _THUMBS:
        return FeedbackRecord(*about, "edit", at + _SAID_AFTER_S, (said - _THUMBS) / _EDITS)
    thumb = 1.0 if said < _UP * _THUMBS else -1.0
    return FeedbackRecord(*about, "thumb", at + _SAID_AFTER_S, thumb)
