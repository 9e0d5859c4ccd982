"""What a reward model has to show before it is kept, on users that it was not fitted to.

    gates = judge(Scored.of(pairs, scores))
    all(gate.passed for gate in gates)

Users are the unit of all errors. Intervals are of 95 %, for one look.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blended.learning.estimates import FEWEST_USERS
from blended.reward.scored import Scored

# The lower end of the interval of the AUC within components.
LEAST_AUC = 0.52
MOST_LENGTH = 0.2
# How far the share of pairs that go as the scores say may be from the expected one.
MOST_MISS = 0.1
# How far a week's mean score may be from that of all, in standard deviations of scores.
MOST_DRIFT = 0.3
_Z = 1.96


@dataclass(frozen=True)
class Gate:
    """One figure, with its interval if it has one, and whether it is good enough."""

    name: str
    value: float | None
    low: float | None
    high: float | None
    passed: bool
    sentence: str

    def to_json(self) -> dict[str, Any]:
        """The same as JSON."""
        return asdict(self)


def judge(scored: Scored) -> tuple[Gate, ...]:
    """All gates, in the order in which people should read them."""
    within = scored.component >= 0
    return (
        _auc_within(scored, within),
        _auc_overall(scored),
        _length(scored, within),
        _calibration(scored),
        _drift(scored),
    )


def _auc_within(scored: Scored, within: NDArray[np.bool_]) -> Gate:
    name = "auc_within_component"
    found = scored.mean_of(scored.won, within)
    if not found.is_known:
        return _unknown(
            name,
            "Too few users have kept one answer of a component and rejected another one of it to "
            f"the same history: {found.users} users, who tell as much as {found.effective:.0f} who "
            f"have equally many pairs; {FEWEST_USERS} are needed.",
        )
    low, high = found.interval(always_valid=False)
    passed = low >= LEAST_AUC
    end = (
        "It tells good answers of one component from bad ones."
        if passed
        else f"The lower end of its interval must be {LEAST_AUC} or more: this model knows at best "
        "who wrote an answer, not which answer is good."
    )
    return Gate(
        name,
        found.value,
        low,
        high,
        passed,
        f"Of two answers of one component to one history, the kept one has the higher score in "
        f"{found.value:.1%} of {within.sum():,} pairs. {end}",
    )


def _auc_overall(scored: Scored) -> Gate:
    """For contrast: a model that knows only who wrote an answer may be good at this."""
    found = scored.mean_of(scored.won, np.ones(len(scored.gain), dtype=bool))
    low, high = found.interval(always_valid=False)
    return Gate(
        "auc_overall",
        found.value,
        low,
        high,
        True,
        f"Whichever components wrote them, it is {found.value:.1%} of {len(scored.gain):,} pairs; "
        "nothing depends on this figure.",
    )


def _length(scored: Scored, within: NDArray[np.bool_]) -> Gate:
    """The correlation of both differences in a pair: about 0, as the order of a pair is nothing."""
    gain, longer = scored.gain[within], scored.longer[within]
    size = float(np.sqrt((gain**2).sum() * (longer**2).sum()))
    found = float((gain * longer).sum()) / size if size else 0.0
    passed = abs(found) < MOST_LENGTH
    end = (
        "" if passed else f"; it must be less than {MOST_LENGTH}, else the model chooses by length"
    )
    return Gate(
        "length",
        found,
        None,
        None,
        passed,
        f"Between two answers of one component, the differences in score and in words have a "
        f"correlation of {found:+.2f}{end}.",
    )


def _calibration(scored: Scored) -> Gate:
    """The higher score should win as often as the difference says: 1 / (1 + exp(-|difference|))."""
    expected = 1 / (1 + np.exp(-np.abs(scored.gain)))
    missed = {
        place: scored.mean_of(scored.won - expected, scored.component == place)
        for place in range(len(scored.components))
    }
    known = {place: value for place, value in missed.items() if value.is_known}
    if not known:
        return _unknown("calibration", "No component has enough users with pairs of its own.")
    worst, value = max(known.items(), key=lambda item: abs(item[1].value) - _Z * item[1].se)
    low, high = value.interval(always_valid=False)
    passed = low <= MOST_MISS and high >= -MOST_MISS
    said = float(expected[scored.component == worst].mean())
    end = "" if passed else f"; {MOST_MISS * 100:.0f} points apart are right, but for the error"
    return Gate(
        "calibration",
        value.value,
        low,
        high,
        passed,
        f"Of two answers of '{scored.components[worst]}' the one with the higher score is kept in "
        f"{said + value.value:.1%}, where the scores say {said:.1%}: the worst of {len(known)} "
        f"components{end}.",
    )


def _drift(scored: Scored) -> Gate:
    spread = float(scored.mean.std()) or 1.0
    apart = (scored.mean - scored.mean.mean()) / spread
    weeks = {int(week): scored.mean_of(apart, scored.week == week) for week in set(scored.week)}
    known = {week: value for week, value in weeks.items() if value.is_known}
    if len(known) < 2:
        return Gate(
            "drift", None, None, None, True, "There are no two weeks with enough users to compare."
        )
    week, value = max(known.items(), key=lambda item: abs(item[1].value) - _Z * item[1].se)
    low, high = value.interval(always_valid=False)
    passed = low <= MOST_DRIFT and high >= -MOST_DRIFT
    end = (
        ""
        if passed
        else f"; {MOST_DRIFT} at most are right: answers have changed, begin later (--since)"
    )
    return Gate(
        "drift",
        value.value,
        low,
        high,
        passed,
        f"Of {len(known)} weeks the mean score of week {week + 1} is furthest from that of all: by "
        f"{value.value:+.2f} standard deviations{end}.",
    )


def _unknown(name: str, sentence: str) -> Gate:
    return Gate(name, None, None, None, False, sentence)


def refused(gates: Iterable[Gate]) -> list[str]:
    """The sentences of the gates that refuse."""
    return [gate.sentence for gate in gates if not gate.passed]
