"""Which way retention goes with the mix."""

from dataclasses import replace

import numpy as np
import pytest

from blended.journal.store import Store
from blended.learning.gradient import gradients, read
from blended.learning.surrogates import agreement
from loadtests.studies.learning.newcomers import Newcomers, by_shares
from tests.learning.journals import BEGIN, DAY_S, MIX, conversations

NEWCOMERS = Newcomers()


def test_the_gradient_is_that_of_the_truth_and_a_regression_on_shares_is_not() -> None:
    """Of 40 runs of 8,000 users, 3 intervals each, all but 15 at most hold it: chance 1 in 700.

    The truth comes from finite differences, of the same users at mixes on either side.
    """
    truth, rng = NEWCOMERS.truth(60_000, seed=1), np.random.default_rng(2)
    held, wrong = list[bool](), list[bool]()
    for _ in range(40):
        counts, came = NEWCOMERS.day(8_000, rng)
        (found,) = gradients(NEWCOMERS.first_days(counts, came))
        for one, true in zip(found.toward.values(), truth, strict=True):
            low, high = one.interval(always_valid=False)
            held.append(low <= true <= high)
        values, errors = by_shares(counts, came, NEWCOMERS.mix)
        wrong += [bool(w) for w in np.abs(values - truth) > 1.96 * errors]

    assert np.mean(held) >= 0.87
    assert np.mean(wrong) > 0.3


def test_the_directions_of_a_mix_add_up_to_none() -> None:
    """Moving toward all components, each by its share, is not moving."""
    world = replace(NEWCOMERS, mix=(0.2, 0.3, 0.5))
    (found,) = gradients(world.first_days(*world.day(2_000, np.random.default_rng(3))))

    along = sum(p * one.value for p, one in zip(world.mix, found.toward.values(), strict=True))
    assert along == pytest.approx(0, abs=1e-12)


def test_the_first_days_are_read_from_the_journal(store: Store) -> None:
    """Scores of the first day's draws, and who came on the day after and a week later."""
    rng = np.random.default_rng(4)
    records = conversations(30, rng)
    store.add(records)
    now = BEGIN + 20 * DAY_S
    found = read(store, 0, now, list(MIX), DAY_S)

    by_user: dict[str, list[float]] = {}
    for user in {r.user for r in records}:
        its = [r for r in records if r.user == user]
        first = min(r.started_at for r in its) // DAY_S
        today = [r for r in its if r.started_at // DAY_S == first]
        scores = [sum((r.drawn == name) / p - 1 for r in today) for name, p in MIX.items()]
        came = float(any(r.started_at // DAY_S == first + 1 for r in its))
        by_user[str(user)] = [*(round(s, 6) for s in scores), came]
    rows = np.column_stack([found.scores.round(6), found.results["retention_1"]])
    assert sorted(map(tuple, rows)) == sorted(map(tuple, by_user.values()))
    assert found.known["retention_7"].all()
    (one, *_) = gradients(read(store, 0, BEGIN + 2 * DAY_S + 3600, list(MIX), DAY_S))
    assert one.outcome.name == "retention_1"


def test_users_who_came_before_are_no_newcomers(store: Store) -> None:
    """Their first day is not in the time that is looked at."""
    store.add(conversations(10, np.random.default_rng(5)))

    assert len(read(store, BEGIN + 5 * DAY_S, BEGIN + 20 * DAY_S, list(MIX), DAY_S).scores) == 0


def test_a_reward_that_points_the_same_way_agrees() -> None:
    """The gradient with itself, and with its opposite."""
    (found,) = gradients(NEWCOMERS.first_days(*NEWCOMERS.day(50_000, np.random.default_rng(6))))
    opposite = {name: replace(v, value=-v.value) for name, v in found.toward.items()}

    same, other = (agreement("kept", way, found) for way in (found.toward, opposite))
    assert same.cosine == pytest.approx(1)
    assert same.low > 0.8
    assert (same.same_sign, other.same_sign) == (3, 0)
    assert other.high < -0.8
