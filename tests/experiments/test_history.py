"""What users did before an experiment, from a journal to the interval, against gbstats."""

import math
from typing import Any

import numpy as np
import pytest
from gbstats.frequentist.tests import SequentialConfig, SequentialTwoSidedTTest
from gbstats.models.statistics import RegressionAdjustedStatistic, SampleMeanStatistic

from blended.experiments.analysis import ExperimentResult, analyse
from blended.experiments.moments import Array
from blended.experiments.statistics import TUNED_FOR_USERS
from blended.journal.records import ResponseRecord
from blended.journal.store import Store
from tests.experiments.test_panel import DAY_S, START, panel
from tests.journal.samples import response

USERS, DAYS, HISTORY = 120, 6, 10


@pytest.fixture
def habits() -> Array:
    """On which days each user comes: HISTORY days before the start, and DAYS from it; all come on
    its first day."""
    rng = np.random.default_rng(4)
    came = rng.random((USERS, HISTORY + DAYS)) < rng.beta(2, 2, USERS)[:, None]
    came[:, HISTORY] = True
    return came.astype(float)


def records(habits: Array) -> list[ResponseRecord]:
    """One response of each user on each of those days; every other user is in arm b."""
    return [
        response(
            response_id=f"{user}-{place}",
            request_id=f"{user}-{place}",
            started_at=START + (place - HISTORY) * DAY_S + 3600 + user,
            user=f"user-{user}",
            experiment="test" if place >= HISTORY else None,
            arm="ab"[user % 2] if place >= HISTORY else None,
        )
        for user, place in zip(*np.nonzero(habits), strict=True)
    ]


def by_arm(habits: Array) -> list[tuple[Array, Array]]:
    """Days in the experiment and days before it of each user in b, and of each in a."""
    days, before = habits[:, HISTORY:].sum(axis=1), habits[:, :HISTORY].sum(axis=1)
    return [(days[arm::2], before[arm::2]) for arm in (1, 0)]


def result(store: Store) -> ExperimentResult:
    return analyse(panel(store, DAYS), START + DAYS * DAY_S)


def statistic(post: Array, pre: Array, theta: float) -> RegressionAdjustedStatistic:
    """Of values relative to their mean, as logarithms have them."""
    post, pre = post / post.mean(), pre / pre.mean()
    parts: dict[str, Any] = {
        "n": len(post),
        "post_statistic": mean_of(post),
        "pre_statistic": mean_of(pre),
        "post_pre_sum_of_products": (post * pre).sum(),
        "theta": theta,
    }
    return RegressionAdjustedStatistic(**parts)


def mean_of(values: Array) -> SampleMeanStatistic:
    return SampleMeanStatistic(len(values), values.sum(), (values**2).sum())


def theta(arms: list[tuple[Array, Array]]) -> float:
    """The factor that leaves the least variance, from the users' days alone."""
    both = sum(np.cov(d / d.mean(), b / b.mean())[0, 1] / len(d) for d, b in arms)
    return float(both / sum((b / b.mean()).var(ddof=1) / len(b) for _, b in arms))


def test_history_and_sequential_intervals_are_gbstats(store: Store, habits: Array) -> None:
    """Active days with users' days before the start (CUPED): standard error, and how far the
    always-valid interval reaches, to 1e-6; the estimate is the log ratio less theta times that of
    the history."""
    store.add(records(habits))
    [ours] = [effect for effect in result(store).effects if effect.measure == "active_days"]
    assert ours.ratio is not None
    arms = by_arm(habits)
    factor = theta(arms)
    test, control = (statistic(*arm, factor) for arm in arms)
    config = SequentialConfig(alpha=0.05, sequential_tuning_parameter=TUNED_FOR_USERS)
    theirs = SequentialTwoSidedTTest(control, test, config)

    (days, before), (other_days, other_before) = arms
    log = math.log(days.mean() / other_days.mean())
    log -= factor * math.log(before.mean() / other_before.mean())
    assert ours.adjusted
    assert ours.ratio.log == pytest.approx(log, abs=1e-9)
    assert ours.ratio.se == pytest.approx(math.sqrt(theirs.variance), rel=1e-6)
    low, high = theirs.confidence_interval
    lowest, highest = ours.ratio.interval(always_valid=True)
    assert highest - lowest == pytest.approx(high - low, rel=1e-6)
