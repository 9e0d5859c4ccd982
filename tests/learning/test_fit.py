"""A policy is fitted to draws, and judged by users that it has not met."""

from dataclasses import replace

import numpy as np
import pytest

from blended.errors import ConfigError, NotEnoughData
from blended.learning.fit import MOST_SQUARE, POLICY, fit, judged, predictions
from blended.learning.policy_evaluation import evaluated
from blended.learning.policy_rows import Rows
from loadtests.studies.policies.messages import NAMES, REWARD, World

FLOOR = 0.1
STRONG = World(dependence=0.25, responses=6)


def without_texts(rows: Rows) -> Rows:
    empty = rows.words[:0]
    empty.resize(rows.words.shape)
    return replace(rows, words=empty, texts=0)


def test_a_component_that_depends_on_the_message_is_found() -> None:
    """Most of what the best policy gains, and its value is in the interval. It is seeded."""
    rng = np.random.default_rng(1)
    rows, fresh = STRONG.talk(1_500, rng).rows(), STRONG.talk(2_000, rng)
    policy = fit(rows, "p", REWARD, FLOOR)
    found = evaluated(policy, rows)

    chances = policy.probabilities(predictions(policy, fresh.rows()))
    gain, best = fresh.value(chances) - fresh.uniform, fresh.best(FLOOR) - fresh.uniform
    assert gain > 0.6 * best
    assert chances.min() >= FLOOR
    assert found.refusals == []
    low, high = found.values[POLICY][1].interval()
    assert low < fresh.value(chances) < high
    assert found.mean_square < 1.1 * MOST_SQUARE
    assert 0.3 < found.agreement < 1


def test_without_a_dependence_no_policy_is_better() -> None:
    """It is refused: one component pleases more, whatever the message. It is seeded."""
    rows = World(main=0.05, responses=6).talk(1_500, np.random.default_rng(2)).rows()
    found = evaluated(fit(rows, "p", REWARD, FLOOR), rows)

    assert found.static == pytest.approx({"a": 0.8, "b": 0.1, "c": 0.1})
    assert any("not shown to be worth more" in sentence for sentence in found.refusals)


def test_without_texts_a_policy_has_no_words() -> None:
    """It has the facts alone, and its file is small."""
    rows = without_texts(STRONG.talk(300, np.random.default_rng(3)).rows())
    policy = fit(rows, "p", REWARD, FLOOR)

    assert policy.words is None
    assert policy.added(["sun"]).tolist() == [0, 0, 0]
    assert evaluated(policy, rows).texts == 0


def test_probabilities_that_are_not_those_of_the_draws_are_seen() -> None:
    """The mean weight is not 1, and the policy is refused."""
    rows = STRONG.talk(1_500, np.random.default_rng(4)).rows()
    policy = fit(rows, "p", REWARD, FLOOR)
    wrong = replace(rows, logged=np.tile([0.5, 0.25, 0.25], (len(rows.drawn), 1)))

    assert any("mean weight" in sentence for sentence in evaluated(policy, wrong).refusals)


def test_what_cannot_be_fitted_is_said() -> None:
    """An unknown reward, a floor that leaves nothing, too few users, other components."""
    rows = STRONG.talk(300, np.random.default_rng(5)).rows()
    policy = fit(rows, "p", REWARD, FLOOR)
    few = STRONG.talk(30, np.random.default_rng(6)).rows()

    with pytest.raises(ConfigError, match="no reward 'thumbs'"):
        fit(rows, "p", "thumbs", FLOOR)
    with pytest.raises(ConfigError, match=r"less than 0\.333"):
        fit(rows, "p", REWARD, 0.4)
    with pytest.raises(NotEnoughData, match="needs 20 for each component"):
        fit(few, "p", REWARD, FLOOR)
    with pytest.raises(NotEnoughData, match="20 are needed"):
        evaluated(policy, few)
    with pytest.raises(ConfigError, match="fit it again"):
        evaluated(replace(policy, components=("a", "b", "d")), rows)


def test_a_value_is_that_of_any_probabilities() -> None:
    """The uniform mix, as it was drawn, is worth what was got."""
    rows = STRONG.talk(400, np.random.default_rng(7)).rows()
    policy = fit(rows, "p", REWARD, FLOOR)
    uniform = np.full(rows.logged.shape, 1 / len(NAMES))
    found = judged(policy, rows, {"drawn": uniform})

    mean = rows.rewards[REWARD].mean()
    assert found.snips("drawn").value == pytest.approx(mean)
    assert found.ips("drawn").value == pytest.approx(mean)
    assert found.mean_square("drawn") == pytest.approx(1)
