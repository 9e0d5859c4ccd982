"""The statistics hold what they promise, over many simulated experiments whose truth is known.

The whole of it is `python -m loadtests.studies.statistics --save`; what that saw is in
loadtests/results/calibration.json and asserted here too. `pytest -m slow` runs it anew.
"""

import json
from typing import Any

import numpy as np
import pytest

from loadtests.studies import statistics


@pytest.fixture(scope="module", params=["saved", pytest.param("anew", marks=pytest.mark.slow)])
def whole(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The result that is committed, and one of another seed."""
    if request.param == "anew":
        return statistics.measure(experiments=2000, peeked=1000, users=2000, seed=2)
    result: dict[str, Any] = json.loads(statistics.SAVED.read_text())
    return result


def test_intervals_hold_the_truth() -> None:
    """150 experiments: below 88.6 % once in 5,000 for one of 20 if 95 % is true; seeded."""
    held = statistics.coverage(150, 1500, np.random.default_rng(11))

    assert len(held) == 20
    assert min(held.values()) > 0.88, held


def test_arms_that_are_alike_are_seldom_called_different() -> None:
    """150 A/A experiments, every measure: above 12 % once in 2,000 each if 5 % is true; seeded.

    Taking a user's days to be independent errs at least twice as often as it says.
    """
    alarms = statistics.false_alarms(150, 1500, np.random.default_rng(12))
    naive = {name: alarms.pop(name) for name in list(alarms) if name.startswith("naive")}

    assert max(alarms.values()) < 0.12, alarms
    assert min(naive.values()) > 0.10, naive


def test_looking_every_day_is_allowed() -> None:
    """Four A/A experiments looked at on 36 days each: no always-valid interval leaves out 1, where
    those for one look do. Some would once in four runs, were it not seeded."""
    peeked = statistics.peeking(4, 600, np.random.default_rng(13))

    assert max(peeked.always_valid.values()) == 0, peeked
    assert max(peeked.fixed_horizon.values()) > 0.25


@pytest.mark.parametrize(
    "kind", ["delta", "retention_ratio", "engagement_ratio", "retention", "engagement"]
)
def test_the_coverage_is_that_of_95_percent(whole: dict[str, Any], kind: str) -> None:
    """2,000 experiments: between 93.5 and 96.5 % for everything that is estimated."""
    assert whole["experiments"] >= 1000
    found = {n: share for n, share in whole["coverage"].items() if n.startswith(kind)}

    assert found
    assert all(0.935 <= share <= 0.965 for share in found.values()), found


def test_the_false_alarms_are_those_of_5_percent(whole: dict[str, Any]) -> None:
    """Within three standard errors for every measure, once; at most that, looking every day."""
    naive = {n: s for n, s in whole["false_alarms"].items() if n.startswith("naive")}
    once = {n: s for n, s in whole["false_alarms"].items() if n not in naive}
    error = (0.05 * 0.95 / whole["experiments"]) ** 0.5

    assert all(abs(share - 0.05) < 3 * error for share in once.values()), once
    assert min(naive.values()) > 0.10
    assert max(whole["false_alarms_peeking_always_valid"].values()) <= 0.05
    assert min(whole["false_alarms_peeking_fixed_horizon"].values()) > 0.10
