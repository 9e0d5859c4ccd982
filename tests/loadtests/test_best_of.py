"""The study of several candidates: its theory, and what it makes of responses."""

import random

import pytest

from blended.components.simulated_quality import planted
from blended.config import BestOf
from loadtests.harness.timed_client import MeasurementFailed, TimedResponse
from loadtests.studies.best_of import outage, users, waits
from loadtests.studies.best_of.planted import gain, largest_of


def said(text: str) -> TimedResponse:
    return TimedResponse(first_s=0.1, last_s=0.2, prompt=3, tokens=4, text=text)


@pytest.mark.parametrize(("count", "mean"), [(1, 0), (2, 0.5642), (4, 1.0294), (8, 1.4236)])
def test_the_largest_of_normal_numbers(count: int, mean: float) -> None:
    """The table of expected normal order statistics (Harter 1961)."""
    assert largest_of(count) == pytest.approx(mean, abs=1e-4)


def test_a_gain_is_told_with_its_error() -> None:
    """Of the best of four true qualities it is what a perfect model gives, within four errors."""
    rng = random.Random(2)
    one = [said(planted(rng)) for _ in range(2_000)]
    four = [
        said(max((planted(rng) for _ in range(4)), key=lambda t: float(t.partition("=")[2])))
        for _ in range(2_000)
    ]
    found = gain(one, four, 4, 1.0)

    assert found["expected"] == pytest.approx(1.0294, abs=1e-4)
    assert abs(found["errors"]) < 4
    assert found["standard_error"] == pytest.approx(0.027, abs=0.003)


def test_a_response_without_quality_is_no_measurement() -> None:
    """It would count as one of quality 0."""
    with pytest.raises(MeasurementFailed):
        gain([said("simulated")] * 2, [said("simulated")] * 2, 4, 0.3)


def test_the_expected_wait_is_that_of_the_longest() -> None:
    """50 ms, 132 steps of 10 ms, and 5 ms for the scores; with early at most 23 steps."""
    timing = waits.Timing(ttft_ms=50, itl_ms=10, tokens=64, reward_ms=5)

    assert waits.expected_ms(timing, None) == 50
    assert waits.expected_ms(timing, BestOf(k=4)) == pytest.approx(50 + 1321 + 5, rel=0.005)
    early = waits.expected_ms(timing, BestOf(k=4, early=24))
    assert 50 + 200 < early < 50 + 230 + 5 + 50


def test_an_outage_is_told_by_what_chose() -> None:
    """Before the fault and after it, with what failed."""
    answered = [
        outage.Answered(1.0, 0.2, "reward", None),
        outage.Answered(outage.BEFORE_S + 1, 0.4, "first", None),
        outage.Answered(outage.BEFORE_S + 2, 0.6, None, "HTTP 503"),
    ]
    found = outage.noticed(answered)

    assert (found["responses"], found["failed"]) == (3, 1)
    assert found["chosen_by"] == {"before": {"reward": 1}, "after": {"first": 1}}
    assert found["p99_ms"] == {"before": 200, "after": 600}


def test_users_come_back_because_of_what_they_read() -> None:
    """The planted lift grows with the candidates and with the model's correlation."""
    few, many = (users.true_lift(k, 0.8, draws=50_000) for k in (2, 4))

    assert users.true_lift(1, 0.8, draws=50_000) == 0
    assert 0.1 < few < many < 0.8
    assert users.true_lift(4, 0.3, draws=50_000) < many
