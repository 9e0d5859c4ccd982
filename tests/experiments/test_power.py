"""Users and days that an experiment needs."""

import math

import numpy as np
import pytest
from statsmodels.stats.power import NormalIndPower

from blended.experiments.power import (
    engagement_variance,
    need,
    retention_variance,
    users_needed,
)


def test_users_are_those_of_statsmodels() -> None:
    """The same normal approximation, with the effect in standard deviations of a user's part."""
    variance = retention_variance(0.1)
    effect = math.log(1.1) / math.sqrt(variance)
    for share in (0.5, 0.25):
        ratio = (1 - share) / share
        theirs = NormalIndPower().solve_power(effect, alpha=0.05, power=0.8, ratio=ratio)
        # They count the far tail, too, which is nothing here.
        assert users_needed(variance, 0.1, 0.8, share) == pytest.approx(
            theirs * (1 + ratio), rel=1e-3
        )


def test_so_many_users_show_the_effect_so_often() -> None:
    """2,000 simulated experiments with 80 % power: 76 to 84 %, a false alarm once in 100,000."""
    retention, lift = 0.2, 0.15
    users = users_needed(retention_variance(retention), lift, 0.8)
    rng = np.random.default_rng(1)
    control = rng.binomial(users // 2, retention, 2000) / (users // 2)
    test = rng.binomial(users // 2, retention * (1 + lift), 2000) / (users // 2)
    se = np.sqrt(sum((1 - p) / p / (users // 2) for p in (control, test)))

    shown = np.abs(np.log(test / control)) > 1.96 * se
    assert 0.76 < shown.mean() < 0.86


def test_smaller_effects_more_power_and_looking_at_any_time_take_more_users() -> None:
    """In the right direction each; engagement counts only those who came."""
    variance = retention_variance(0.1)
    plain = users_needed(variance, 0.1, 0.8)

    assert users_needed(variance, 0.05, 0.8) > 3.5 * plain
    assert users_needed(variance, 0.1, 0.95) > plain
    assert plain < users_needed(variance, 0.1, 0.8, always_valid=True) < 3 * plain
    assert users_needed(variance, 0.1, 0.8, test_share=0.1) > 2 * plain
    assert engagement_variance(0.1, 1.0) == pytest.approx(10)


def test_days_are_those_until_the_last_user_has_been_observed() -> None:
    """1,000 users at 100 a day, each observed until day 30 is over."""
    assert need(1000, 100, 30).days == 10 + 31
