"""A mix that moves among simulated users, by the code of the study and of the command."""

from typing import Any

import numpy as np
import pytest

from blended.cli.mix import HALF_LIFE_DAYS
from blended.learning.ascent import Apart
from blended.learning.decisions import Decisions
from blended.learning.drawing import Drawing
from blended.learning.evidence import weigh_up
from blended.learning.rewards import SUMS
from loadtests.studies.learning.ascents import REWARD, Run
from loadtests.studies.learning.mix import (
    APART,
    RULES,
    is_right,
    live,
    moved,
    reached_the_floor,
)

NAMES = ("a", "b", "c")
RUNS = 4


def runs(world: str) -> list[Run]:
    return [live(world, HALF_LIFE_DAYS, (7, n)) for n in range(RUNS)]


def test_equal_components_keep_their_shares() -> None:
    """In at least 95 % of runs (the study counts): two or more of four move by chance once in 70.

    It is seeded.
    """
    assert sum(moved(run) for run in runs("equal")) < 2


def test_the_best_component_gets_what_the_floor_leaves() -> None:
    """By small steps, one a day; nearly every run does (the study counts 200). It is seeded."""
    found = runs("apart")

    assert all(reached_the_floor(run) for run in found)
    for run in found:
        taken = np.abs(np.diff(run.shares, axis=0)).sum(axis=1) / 2
        assert taken.max() <= RULES.max_step + 2e-4
        assert run.shares.min() >= RULES.floor


def test_a_mix_follows_when_the_best_becomes_the_worst() -> None:
    """Because responses count half after some days. It is seeded."""
    for run in runs("swapped"):
        assert is_right(run, APART[::-1])


def decisions(*rows: tuple[str, str, str, float], users: int = 200, **fields: Any) -> Decisions:
    """Each row is arm, component and mean reward of as many users, with others' habits alike."""
    drawings = tuple(
        Drawing("mix", arm, MIX, name, name, (name,), frozenset(fields.get("left", NAMES)))
        for arm, name, _, _ in rows
    )
    rng = np.random.default_rng(1)
    user = np.concatenate([np.arange(users) + users * (row[2] == "new") for row in rows])
    sums = np.zeros((len(user), len(SUMS)))
    sums[:, SUMS.index("responses")] = 10
    rewards = [rng.binomial(10, mean, users) for _, _, _, mean in rows]
    sums[:, SUMS.index(REWARD)] = np.concatenate(rewards)
    kind = np.repeat(np.arange(len(rows)), users)
    return Decisions(len(np.unique(user)), user, drawings, kind, sums, {})


MIX = dict.fromkeys(NAMES, 1 / 3)


def test_pairs_are_compared_by_both_arms_where_both_could_be_drawn() -> None:
    """With the bound of all three pairs; a third component that was out does not matter."""
    rows = [("even", n, "old", m) for n, m in zip(NAMES, (0.2, 0.5, 0.8), strict=True)]
    found = weigh_up(decisions(*rows), REWARD, NAMES, "moving", "even")
    [pair] = weigh_up(decisions(*rows[:2], left=("a", "b")), REWARD, NAMES, "moving", "even").pairs

    by_names = {(p.one, p.other): p for p in found.pairs}
    assert set(by_names) == {("a", "b"), ("a", "c"), ("b", "c")}
    assert by_names["a", "c"].value == pytest.approx(-0.6, abs=0.05)
    assert all(p.low < p.value < p.high < 0 for p in found.pairs)
    assert (pair.one, pair.other) == ("a", "b")
    # 99.7 % always valid is wider than 95 % for one look.
    se = (0.2 * 0.8 + 0.5 * 0.5) ** 0.5 / (10 * 200) ** 0.5
    assert pair.high - pair.value > 1.96 * se


def test_the_mix_is_compared_with_the_holdback_by_their_users() -> None:
    """As they were drawn; an arm with too few users tells nothing."""
    rows = [("moving", "a", "old", 0.3), ("even", "b", "new", 0.6)]
    found = weigh_up(decisions(*rows), REWARD, NAMES, "moving", "even").over_uniform
    few = weigh_up(decisions(*rows, users=10), REWARD, NAMES, "moving", "even").over_uniform

    assert isinstance(found, Apart)
    assert found.value == pytest.approx(-0.3, abs=0.05)
    assert found.high < 0
    assert few is None


def test_draws_that_were_not_as_logged_are_a_fault() -> None:
    """One component is drawn alone, where all three were to be."""
    found = weigh_up(decisions(("even", "a", "old", 0.5)), REWARD, NAMES, "moving", "even")

    assert "The mean weight of 'a' is 3.000" in found.faults[0]
