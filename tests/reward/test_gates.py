"""What a reward model has to show: each gate refuses what it is for, and nothing else."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from blended.reward.examples import Answer, Pair
from blended.reward.gates import Gate, judge, refused
from blended.reward.scored import Scored

USERS = 300


def scored(seed: int = 0, **changes: Any) -> Scored:
    """2,000 pairs of 300 users, half of them of one component, as a good model scores them."""
    rng, n = np.random.default_rng(seed), 2_000
    size = np.abs(rng.normal(0, 1.5, n))
    won = rng.random(n) < 1 / (1 + np.exp(-size))
    made = Scored(
        user=rng.integers(0, USERS, n),
        component=np.where(rng.random(n) < 0.5, rng.integers(0, 2, n), -1),
        components=("a", "b"),
        gain=np.where(won, size, -size),
        longer=rng.normal(0, 8, n).round(),
        mean=rng.normal(0, 1, n),
        week=rng.integers(0, 4, n),
    )
    return replace(made, **changes)


def gates(scored: Scored) -> dict[str, Gate]:
    return {gate.name: gate for gate in judge(scored)}


def refusing(scored: Scored) -> set[str]:
    return {gate.name for gate in judge(scored) if not gate.passed}


def test_a_good_model_passes() -> None:
    """Every gate has its figure; seeded."""
    found = gates(scored())

    assert list(found) == ["auc_within_component", "auc_overall", "length", "calibration", "drift"]
    assert refused(found.values()) == []
    assert found["auc_within_component"].value == pytest.approx(0.74, abs=0.04)
    assert found["auc_overall"].value == pytest.approx(0.74, abs=0.04)


def test_a_model_that_knows_only_who_wrote_an_answer_is_refused() -> None:
    """Between components it is right, within one it guesses."""
    good = scored()
    rng = np.random.default_rng(1)
    guessed = np.where(rng.random(len(good.gain)) < 0.5, 1, -1) * np.abs(good.gain)
    gain = np.where(good.component >= 0, guessed, good.gain)

    found = gates(replace(good, gain=gain))

    assert not found["auc_within_component"].passed
    assert "who wrote an answer" in found["auc_within_component"].sentence
    assert found["auc_overall"].passed
    assert (found["auc_overall"].value or 0) > 0.6


def test_ties_are_half_right() -> None:
    """A model that says the same of everything has an AUC of one half, and refuses."""
    found = gates(scored(gain=np.zeros(2_000)))

    assert found["auc_within_component"].value == 0.5
    assert found["length"].value == 0
    assert not found["auc_within_component"].passed


def test_a_model_that_goes_by_length_is_refused() -> None:
    """Whichever way; pairs of two components do not count."""
    good = scored()
    noise = np.random.default_rng(2).normal(0, 1, len(good.gain))

    assert refusing(replace(good, longer=good.gain + 3 * noise)) == {"length"}
    assert refusing(replace(good, longer=-good.gain + 3 * noise)) == {"length"}
    between = np.where(good.component < 0, good.gain, 8 * noise)
    assert refusing(replace(good, longer=between)) == set()


def test_a_model_that_is_too_sure_of_one_component_is_refused() -> None:
    """By its name; being too sure of pairs of two components harms nobody."""
    good = scored()
    sure = np.where(good.component == 1, 5.0, 1.0) * good.gain
    between = np.where(good.component == -1, 5.0, 1.0) * good.gain

    found = gates(replace(good, gain=sure))["calibration"]

    assert not found.passed
    assert "'b'" in found.sentence
    assert refusing(replace(good, gain=between)) == set()


def test_scores_that_move_are_refused() -> None:
    """In the week in which they did."""
    good = scored()
    moved = np.where(good.week == 3, good.mean + 1, good.mean)

    found = gates(replace(good, mean=moved))["drift"]

    assert not found.passed
    assert "week 4" in found.sentence
    assert refusing(replace(good, mean=good.mean + 5)) == set()


def test_one_week_cannot_drift() -> None:
    """A young journal may be fitted to."""
    found = gates(scored(week=np.zeros(2_000, dtype=np.int64)))["drift"]

    assert (found.passed, found.value) == (True, None)


def test_too_few_users_are_said() -> None:
    """However many pairs they have."""
    few = scored(user=np.arange(2_000) % 10)

    assert {"auc_within_component", "calibration"} <= refusing(few)
    assert "10 users" in gates(few)["auc_within_component"].sentence


def test_users_are_the_unit() -> None:
    """Pairs that each user has 20 times tell no more than once: the interval is as wide."""
    one = scored()
    twenty: dict[str, Any] = {
        name: np.repeat(value, 20)
        for name, value in vars(one).items()
        if isinstance(value, np.ndarray)
    }

    narrow, same = gates(one)["auc_within_component"], gates(replace(one, **twenty))
    again = same["auc_within_component"]

    assert (again.low, again.high) == pytest.approx((narrow.low, narrow.high), abs=1e-3)


def test_pairs_become_rows() -> None:
    """Users and components as numbers, differences of kept minus rejected, weeks from the first."""
    week_s = 7 * 86_400.0
    pairs = [
        Pair("u", 100.0, Answer("Assistant: one", "b"), Answer("Assistant: one two three", "b")),
        Pair("t", 100.0 + week_s, Answer("Assistant: a b", "a"), Answer("Assistant: a", "b")),
    ]

    found = Scored.of(pairs, np.array([[0.5, 2.0], [1.0, 0.0]]))

    assert found.user.tolist() == [1, 0]
    assert [found.components[place] if place >= 0 else None for place in found.component] == [
        "b",
        None,
    ]
    assert (found.gain.tolist(), found.longer.tolist()) == ([1.5, -1.0], [2.0, -1.0])
    assert (found.mean.tolist(), found.week.tolist()) == ([1.25, 0.5], [0, 1])
    assert found.won.tolist() == [1.0, 0.0]
