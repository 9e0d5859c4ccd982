"""Simulated users: their habits are exactly those that were set, response by response."""

import numpy as np
import pytest

from blended.errors import ConfigError
from loadtests.studies.population.habits import (
    ALPHA_S,
    R1,
    ArmEffect,
    Floats,
    draw,
    true_engagement,
    true_retention,
)
from loadtests.studies.population.users import generators, populate
from loadtests.studies.population.visits import DAY_MS, FAILURES, GAP_MS, RETRIES, Responses, plan

CONTROL = ArmEffect("control")
BLEND = ArmEffect("blend", 1.3, 1.2, retention_decay=-0.1, engagement_decay=0.05)


def test_the_curves_are_power_laws_from_the_second_day_on() -> None:
    """Everybody is there on the day of joining, which no arm has changed yet."""
    assert true_retention(CONTROL, [0, 1]) == pytest.approx([1, R1])
    assert true_engagement(BLEND, [0, 1]) == pytest.approx([ALPHA_S, 1.2 * ALPHA_S])
    lift = true_retention(BLEND, [1, 8]) / true_retention(CONTROL, [1, 8])
    assert lift == pytest.approx([1.3, 1.3 * 8**-0.1])


def test_users_come_and_stay_as_the_curves_say() -> None:
    """On every day, in every arm, on average."""
    effects, users, days = (CONTROL, BLEND), 60_000, 10
    arm = np.arange(users) % 2

    activity = draw(effects, arm, np.zeros(users, np.int64), days, np.random.default_rng(1))

    assert activity.active[:, 0].all()
    assert np.array_equal(activity.active, activity.seconds > 0)
    scores = [
        score
        for index, effect in enumerate(effects)
        for k in range(days)
        for score in _scores(effect, k, activity.seconds[arm == index, k])
    ]
    assert max(map(abs, scores)) < 5, f"38 z scores, odds of a false alarm 2e-5: {scores}"


def _scores(effect: ArmEffect, k: int, seconds: Floats) -> list[float]:
    share, there = float(true_retention(effect, k)), seconds[seconds > 0]
    error_s = there.std() / len(there) ** 0.5
    scores = [float((there.mean() - true_engagement(effect, k)) / error_s)]
    if k > 0:
        error = (share * (1 - share) / len(seconds)) ** 0.5
        scores.append((len(there) / len(seconds) - share) / error)
    return scores


def test_the_days_of_a_user_are_alike() -> None:
    """Who came on one day comes more likely on another, and who stays long does so again."""
    users = 200_000
    nobody = np.zeros(users, np.int64)
    activity = draw([CONTROL], nobody, nobody, 3, np.random.default_rng(2))

    first, second = activity.active[:, 1], activity.active[:, 2]
    expected = 0.2 * float(true_retention(CONTROL, 1) * true_retention(CONTROL, 2))
    products = (first - first.mean()) * (second - second.mean())
    error = products.std() / users**0.5
    assert abs(products.mean() - expected) < 5 * error, "odds of a false alarm 6e-7"
    log_s = np.log(activity.seconds[first & second][:, 1:])
    correlation = np.corrcoef(log_s.T)[0, 1]
    assert correlation == pytest.approx(0.5**2 / (0.5**2 + 0.6**2), abs=0.05), "odds below 1e-6"


def test_nobody_is_active_beyond_the_end() -> None:
    """Days are counted since joining; visits come back by the day of the experiment."""
    users = populate(["u"] * 500, np.zeros(500, np.int64), [CONTROL], 6, 3, generators(3)[0])

    assert set(users.join_day) == {0, 1, 2}
    for joined in range(3):
        assert not users.activity.active[users.join_day == joined, 6 - joined :].any()
    visits = [len(users.visits_on(day)[0]) for day in range(6)]
    assert sum(visits) == users.activity.active.sum()
    user, seconds = users.visits_on(0)
    assert np.array_equal(user, np.nonzero(users.join_day == 0)[0])
    assert np.array_equal(seconds, users.activity.seconds[user, 0])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"retention": 1.7}, "come back with probability 1.02"),
        ({"retention": 1.2, "retention_decay": 0.6}, "give a smaller retention"),
        ({"retention": 0.0}, "factors must be above 0"),
        ({"engagement": float("inf")}, "all of them finite"),
        ({"engagement_decay": float("nan")}, "all of them finite"),
    ],
)
def test_impossible_effects_are_refused(values: dict[str, float], message: str) -> None:
    """Nothing is clipped: what the arm was given is what its users do, or nothing at all."""
    nobody = np.zeros(1, np.int64)
    with pytest.raises(ConfigError, match=message):
        draw([ArmEffect("a", **values)], nobody, nobody, 30, np.random.default_rng(0))


def _visits() -> tuple[Floats, Responses]:
    rng = np.random.default_rng(4)
    seconds = np.exp(rng.uniform(np.log(0.01), np.log(40_000), 3000))
    return seconds, plan(seconds, rng)


def test_a_visit_lasts_as_long_as_was_drawn() -> None:
    """From response to response, or to a response's end before a longer pause; to a millisecond."""
    seconds, found = _visits()

    pause_ms = np.diff(found.start_ms, append=0)
    is_last = np.diff(found.visit, append=-1) != 0
    lasts_ms = np.where(is_last | (pause_ms > GAP_MS), found.e2e_ms, pause_ms)
    measured_ms = np.bincount(found.visit, weights=lasts_ms)
    assert np.array_equal(measured_ms, np.maximum(1, np.rint(seconds * 1000)))
    assert (pause_ms[~is_last] >= found.e2e_ms[~is_last]).all()
    assert (found.e2e_ms > 0).all()


def test_a_visit_is_over_well_before_midnight() -> None:
    """The next day's can begin at once, and is a session of its own."""
    _, found = _visits()

    assert found.start_ms.min() >= 0
    assert (found.start_ms + found.e2e_ms).max() <= DAY_MS - GAP_MS


def test_conversations_are_sessions_whose_turns_are_counted() -> None:
    """A request that is repeated is the same turn; a longer pause begins a conversation."""
    _, found = _visits()

    begins = np.diff(found.conversation, prepend=-1) != 0
    steps = np.diff(found.turn, prepend=0)
    assert (found.turn[begins] == 1).all()
    assert np.array_equal(steps[~begins], (~found.again[~begins]).astype(int))
    pause_ms = np.diff(found.start_ms, prepend=0)
    is_first = np.diff(found.visit, prepend=-1) != 0
    assert np.array_equal(pause_ms[~is_first] > GAP_MS, begins[~is_first])
    assert (begins & ~is_first).any()
    assert np.isclose(np.median(pause_ms[~begins & ~found.again]), 60_000, rtol=0.2)


def test_some_responses_are_retried_and_some_fail() -> None:
    """A request that failed is always repeated, but for the last one."""
    _, found = _visits()

    follows = np.diff(found.conversation, append=-1) == 0
    assert found.again[1:][(found.fails & follows)[:-1]].all()
    answered = ~found.fails[:-1] & follows[:-1]
    retried, failed = found.again[1:][answered], found.fails
    for share, some in ((RETRIES, retried), (FAILURES, failed)):
        error = (share * (1 - share) / len(some)) ** 0.5
        assert abs(some.mean() - share) < 5 * error, "odds of a false alarm 6e-7"


def test_a_visit_that_no_day_holds_is_refused() -> None:
    """It would run into the next day's."""
    with pytest.raises(ConfigError, match=r"active for 23\.6 hours of one day; give a smaller"):
        plan(np.array([60.0, 85_000.0]), np.random.default_rng(5))


def test_a_day_without_visits_has_no_responses() -> None:
    """As the last ones of a small population."""
    assert len(plan(np.zeros(0), np.random.default_rng(6)).visit) == 0
