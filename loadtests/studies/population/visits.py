"""The visits of simulated users, response by response: pure NumPy.

For the journal a user is active from a response to the next one, if that comes within the session
gap, or else to the response's own end. These times add up to the given seconds.
"""

from dataclasses import dataclass

import numpy as np

from blended.errors import ConfigError
from loadtests.studies.population.habits import DAY_S, Bools, Floats, Ints

DAY_MS = DAY_S * 1000
GAP_MS = 1_800_000
FAILURES, RETRIES = 0.01, 0.05

# A second session comes after a pause that ends the first. No user is active around midnight,
# because the next day's session would continue this one.
_PAUSE_MS = GAP_MS + 600_000
_NIGHT_MS = 2 * GAP_MS
_TWICE = 0.3
_TURN_MS, _SHORT_MS = 60_000, 5_000
# The slowest turn takes 20 times as long as the fastest, so that a pause of 60 s on average never
# reaches the session gap.
_PACE, _PACE_AGAIN = (0.4, 1.6), 0.2
_ANSWER_MS, _ANSWER_SIGMA = 2_500.0, 0.6


@dataclass(frozen=True)
class Responses:
    """The responses of some visits: arrays of one length, ordered by visit and time.

    `visit` indexes the visits, `conversation` counts all conversations from 0, `turn` those of a
    conversation from 1. `again` marks a repeated request, because the previous one failed or its
    response did not please. `fails` marks a response that no component gave. Times are
    milliseconds, `start_ms` since midnight.
    """

    visit: Ints
    conversation: Ints
    turn: Ints
    again: Bools
    fails: Bools
    start_ms: Ints
    e2e_ms: Ints


@dataclass(frozen=True)
class _Sessions:
    """The sessions of some visits, each a conversation of its own."""

    visit: Ints
    begin_ms: Ints
    length_ms: Ints


def plan(seconds: Floats, rng: np.random.Generator, failures: float = FAILURES) -> Responses:
    """The responses of visits of so many seconds, rounded to milliseconds, each within one day.

    Raises:
        ConfigError: a visit does not fit into a day.
    """
    sessions = _sessions(np.maximum(1, np.rint(seconds * 1e3)).astype(np.int64), rng)
    last_ms = _last_ms(sessions.length_ms, rng)
    rest_ms = sessions.length_ms - last_ms
    counts = 1 + -(-rest_ms // _TURN_MS)
    session = np.repeat(np.arange(len(counts)), counts)
    first = np.cumsum(counts) - counts
    is_last = np.zeros(len(session), dtype=np.bool_)
    is_last[np.cumsum(counts) - 1] = True

    fails = rng.random(len(session)) < failures
    repeated = ~is_last & (fails | (rng.random(len(session)) < RETRIES))
    again = np.roll(repeated, 1)
    pace = np.where(is_last, 0, rng.uniform(*_PACE, len(session)))
    share = _share_before(np.where(repeated, _PACE_AGAIN * pace, pace), session, first)
    offset_ms = np.where(is_last, rest_ms[session], np.rint(rest_ms[session] * share))
    start_ms = sessions.begin_ms[session] + offset_ms.astype(np.int64)
    pause_ms = np.where(is_last, last_ms[session], np.roll(start_ms, -1) - start_ms)
    answer_ms = np.minimum(_answers_ms(len(session), rng), np.ceil(0.9 * pause_ms))
    return Responses(
        visit=sessions.visit[session],
        conversation=session,
        turn=_count_within(~again, session, first),
        again=again,
        fails=fails,
        start_ms=start_ms,
        e2e_ms=np.where(is_last, pause_ms, answer_ms).astype(np.int64),
    )


def _sessions(total_ms: Ints, rng: np.random.Generator) -> _Sessions:
    visits = len(total_ms)
    twice = (total_ms >= 2 * _TURN_MS) & (rng.random(visits) < _TWICE)
    first_ms = np.where(twice, np.rint(total_ms * rng.uniform(0.3, 0.7, visits)), total_ms)
    spare_ms = DAY_MS - _NIGHT_MS - total_ms - twice * _PAUSE_MS
    if visits and spare_ms.min() < 0:
        raise ConfigError(
            f"A simulated user would be active for {total_ms.max() / 3.6e6:.1f} hours of one day; "
            "give a smaller engagement or engagement_decay."
        )
    longer_ms = twice * spare_ms * rng.uniform(0, 0.5, visits)
    begin_ms = (spare_ms - longer_ms) * rng.random(visits)
    again_ms = begin_ms + first_ms + _PAUSE_MS + longer_ms
    there = np.stack([np.ones(visits, dtype=np.bool_), twice], axis=1)
    begins = np.stack([begin_ms, again_ms], axis=1)[there]
    lengths = np.stack([first_ms, total_ms - first_ms], axis=1)[there]
    return _Sessions(np.nonzero(there)[0], begins.astype(np.int64), lengths.astype(np.int64))


def _last_ms(length_ms: Ints, rng: np.random.Generator) -> Ints:
    """How long the last response of each session takes; all of it, if it is the only one."""
    last_ms = _answers_ms(len(length_ms), rng)
    return np.where(length_ms - last_ms < _SHORT_MS, length_ms, last_ms)


def _answers_ms(size: int, rng: np.random.Generator) -> Ints:
    drawn = rng.lognormal(np.log(_ANSWER_MS), _ANSWER_SIGMA, size)
    return np.maximum(1, drawn.round()).astype(np.int64, copy=False)


def _share_before(weight: Floats, session: Ints, first: Ints) -> Floats:
    """The part of its session's weights that comes before each."""
    before = np.cumsum(weight) - weight
    total = np.add.reduceat(weight, first) if len(first) else weight
    # A session of one response has no weight, and nothing before it.
    share: Floats = (before - before[first][session]) / np.where(total > 0, total, 1)[session]
    return share


def _count_within(counted: Bools, session: Ints, first: Ints) -> Ints:
    """How many of its session are counted up to and including each."""
    upto = np.cumsum(counted)
    return upto - (upto - counted)[first][session]
