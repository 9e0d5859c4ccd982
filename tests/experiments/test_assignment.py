"""Users and their arms: pure hashes."""

import secrets
from collections import Counter
from datetime import UTC, datetime
from itertools import combinations
from typing import Any

from scipy import stats

from blended.config import Experiment
from blended.config.experiments import HOLDOUT
from blended.experiments.assignment import arm_of, assign, is_held_out, is_in_slice

START = datetime(2026, 12, 1, tzinfo=UTC)
NOON = START.timestamp() + 43_200


def experiment(name: str = "one", **fields: Any) -> Experiment:
    """An experiment of three arms, of which the last takes half of the users."""
    arms = [{"id": "a", "share": 1}, {"id": "b", "share": 1}, {"id": "c", "share": 2}]
    values = {"name": name, "start": START, "end": "2027-01-01", "control": "a", "arms": arms}
    return Experiment.model_validate(values | fields)


def users(count: int, prefix: str = "user") -> list[str]:
    return [f"{prefix}-{number}" for number in range(count)]


def test_a_million_users_lie_in_the_arms_as_the_shares_say() -> None:
    """Chi-square over a million ids: a false alarm once in a million runs, if ids were random."""
    counts = Counter(arm_of(experiment(), user).id for user in users(1_000_000))

    observed = [counts[arm] for arm in "abc"]
    assert stats.chisquare(observed, [250_000, 250_000, 500_000]).pvalue > 1e-6


def test_experiments_divide_the_same_users_independently() -> None:
    """Chi-square of independence over 200,000 users: a false alarm once in a million runs."""
    one, other = experiment("one"), experiment("other")
    pairs = Counter((arm_of(one, u).id, arm_of(other, u).id) for u in users(200_000))

    table = [[pairs[a, b] for b in "abc"] for a in "abc"]
    assert stats.chi2_contingency(table).pvalue > 1e-6


def test_a_slice_and_an_arm_are_independent_and_so_are_layers() -> None:
    """Likewise: whom an experiment takes says nothing about their arm, or about another layer."""
    half = experiment(users=[0, 0.5])
    other = experiment("other", users=[0, 0.5], layer="second")
    found = [
        (is_in_slice(half, u), arm_of(half, u).id, is_in_slice(other, u)) for u in users(100_000)
    ]

    for left, right in combinations(range(3), 2):
        pairs = Counter((row[left], row[right]) for row in found)
        rows, columns = (sorted({row[i] for row in found}) for i in (left, right))
        table = [[pairs[a, b] for b in columns] for a in rows]
        assert stats.chi2_contingency(table).pvalue > 1e-6


def test_a_slice_that_grows_moves_nobody() -> None:
    """Whoever was in stays, in the same arm; others come in."""
    small, large = experiment(users=[0.1, 0.3]), experiment(users=[0.1, 0.8])
    before = {u: assign([small], 0, u, NOON) for u in users(20_000)}
    after = {u: assign([large], 0, u, NOON) for u in users(20_000)}

    inside = [u for u, found in before.items() if found]
    assert 3_500 < len(inside) < 4_500
    assert all(after[u] == before[u] for u in inside)
    assert sum(map(bool, after.values())) > 13_000


def test_experiments_of_one_layer_share_no_user() -> None:
    """Slices side by side: each user is in one of the two, by a hash that both have in common."""
    one, other = experiment("one", users=[0, 0.5]), experiment("other", users=[0.5, 1])

    for user in users(2_000):
        assert is_in_slice(one, user) != is_in_slice(other, user)


def test_the_held_out_are_in_no_experiment() -> None:
    """Of every layer, a tenth here; they are the same ones while the holdout only grows."""
    one, other = experiment("one", layer="first"), experiment("other", layer="second")
    found = {u: assign([one, other], 0.1, u, NOON) for u in users(20_000)}

    out = [u for u, a in found.items() if a and a.experiment is None]
    assert 1_800 < len(out) < 2_200
    assert {found[u].arm for u in out if found[u]} == {HOLDOUT}  # type: ignore[union-attr]
    assert all(is_held_out(0.2, u) for u in out)


def test_the_first_experiment_that_takes_a_user_decides() -> None:
    """One of another layer takes who is left, and the order is the file's."""
    one, other = experiment("one", users=[0, 0.5]), experiment("other", layer="second")

    for user in users(500):
        found = assign([one, other], 0, user, NOON)
        assert found is not None
        assert found.experiment == ("one" if is_in_slice(one, user) else "other")


def test_nobody_is_assigned_before_the_start_or_after_the_end() -> None:
    """The start belongs to the experiment, the end does not."""
    one = experiment()
    times = [one.start.timestamp() - 0.001, one.start.timestamp(), one.end.timestamp()]

    assert [bool(assign([one], 0, "u", at)) for at in times] == [False, True, False]


def test_an_experiment_for_new_users_takes_no_old_ones() -> None:
    """Who came before the start is old; who came at an unknown time may be new."""
    one = experiment(eligible="new")
    since = [None, one.start.timestamp(), one.start.timestamp() - 1]

    assert [bool(assign([one], 0, "u", NOON, s)) for s in since] == [True, True, False]


def test_users_may_be_called_anything() -> None:
    """Random ids, the empty one and lone surrogates have arms like any other."""
    for user in ("", "\ud800", "ü" * 1000, secrets.token_hex(16)):
        assert arm_of(experiment(), user).id in "abc"
