"""The statistics, against other people's implementations and against curves made by hand."""

import math
from typing import Any

import numpy as np
import pytest
from gbstats.frequentist.tests import (
    FrequentistConfig,
    SequentialConfig,
    SequentialTwoSidedTTest,
    TwoSidedTTest,
)
from gbstats.models.statistics import (
    RatioStatistic,
    RegressionAdjustedStatistic,
    SampleMeanStatistic,
)
from gbstats.utils import check_srm
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from blended.experiments.fit import lack_of_fit
from blended.experiments.measures import intercept_and_slope, retention
from blended.experiments.moments import Array, Moments
from blended.experiments.quantiles import quantile
from blended.experiments.shares import Share, ShareDifference, share
from blended.experiments.statistics import (
    TUNED_FOR_USERS,
    always_valid_factor,
    difference,
    holm,
    level,
    sample_ratio_p,
)

CONTRAST = {"numerator": 1.0, "denominator": -1.0}


def values(users: int, seed: int) -> Array:
    """Users of two columns that go together, and of one from before."""
    rng = np.random.default_rng(seed)
    before = rng.gamma(2, 1, users)
    numerator = before + rng.gamma(2, 1, users)
    return np.column_stack([numerator, 1 + rng.poisson(numerator), before, np.ones(users)])


def moments(rows: Array) -> Moments:
    return Moments.of(("numerator", "denominator", "before", "one"), rows)


def mean_statistic(column: Array) -> SampleMeanStatistic:
    return SampleMeanStatistic(len(column), column.sum(), (column**2).sum())


def ratio_statistic(rows: Array) -> RatioStatistic:
    m, d = rows[:, 0], rows[:, 1]
    sums: dict[str, Any] = {
        "n": len(rows),
        "m_statistic": mean_statistic(m),
        "d_statistic": mean_statistic(d),
        "m_d_sum_of_products": (m * d).sum(),
    }
    return RatioStatistic(**sums)


TEST, CONTROL = values(3000, 1), values(4000, 2)


@pytest.mark.parametrize(("contrast", "of"), [(CONTRAST, ratio_statistic), ({"numerator": 1.0}, 0)])
def test_a_ratio_and_a_mean_vary_as_in_gbstats(contrast: dict[str, float], of: Any) -> None:
    """Value and standard error; ours is of the logarithm, which is theirs over the value."""
    theirs = of(TEST) if of else mean_statistic(TEST[:, 0])
    ours = level(moments(TEST), contrast)

    assert math.exp(ours.log) == pytest.approx(theirs.mean, rel=1e-9)
    assert ours.se == pytest.approx(math.sqrt(theirs.variance / theirs.n) / theirs.mean, rel=1e-9)


def test_a_difference_is_gbstats_relative_effect_on_the_log_scale() -> None:
    """Their relative effect is (t - c) / c with an error of their own; to first order its error
    over t / c is ours, and so it is exactly."""
    config = FrequentistConfig(alpha=0.05, difference_type="relative")
    theirs = TwoSidedTTest(ratio_statistic(CONTROL), ratio_statistic(TEST), config)
    ours = difference(moments(TEST), moments(CONTROL), CONTRAST)

    ratio = math.exp(ours.log)
    assert ratio - 1 == pytest.approx(theirs.point_estimate, rel=1e-9)
    assert ours.se == pytest.approx(math.sqrt(theirs.variance) / ratio, rel=1e-9)


def test_an_always_valid_interval_is_gbstats_sequential_one() -> None:
    """How many standard errors it reaches, and the p value for an effect of so many."""
    config = SequentialConfig(alpha=0.05, sequential_tuning_parameter=TUNED_FOR_USERS)
    a, b = mean_statistic(CONTROL[:, 0]), mean_statistic(TEST[:, 0])
    theirs = SequentialTwoSidedTTest(a, b, config)
    low, high = theirs.confidence_interval
    se = math.sqrt(theirs.variance)
    ours = difference(moments(TEST), moments(CONTROL), {"numerator": 1.0})
    same = type(ours)(theirs.point_estimate, se, ours.users)

    assert always_valid_factor(7000) == pytest.approx((high - low) / 2 / se, rel=1e-9)
    assert same.p_value(always_valid=True) == pytest.approx(theirs.p_value, rel=1e-6)
    assert same.interval(always_valid=True) == pytest.approx((low, high), rel=1e-9)


def test_history_takes_off_noise_as_in_gbstats() -> None:
    """CUPED on a mean: with our factor their adjusted variance is ours (their factor is the one of
    all users pooled, ours the one that leaves the least variance of the difference)."""
    ours = difference(moments(TEST), moments(CONTROL), {"numerator": 1.0}, {"before": 1.0})
    plain = difference(moments(TEST), moments(CONTROL), {"numerator": 1.0})
    arms = [(rows[:, 0], rows[:, 2]) for rows in (TEST, CONTROL)]
    means = [(post.mean(), pre.mean()) for post, pre in arms]
    both = sum(
        np.cov(*a)[0, 1] / len(a[0]) / (m * h) for a, (m, h) in zip(arms, means, strict=True)
    )
    before = sum(a[1].var(ddof=1) / len(a[1]) / h**2 for a, (_, h) in zip(arms, means, strict=True))
    theta = both / before
    variance = 0.0
    for (post, pre), (m, h) in zip(arms, means, strict=True):
        statistic = RegressionAdjustedStatistic(
            n=len(post),
            post_statistic=mean_statistic(post / m),
            pre_statistic=mean_statistic(pre / h),
            post_pre_sum_of_products=(post * pre).sum() / (m * h),
            theta=theta,
        )
        variance += statistic.variance / statistic.n

    assert ours.se == pytest.approx(math.sqrt(variance), rel=1e-6)
    assert ours.se < 0.8 * plain.se


def test_sample_ratio_mismatch_is_gbstats() -> None:
    """Unequal shares, and arms that are off by more than chance."""
    for counts, shares in (([5000, 5100], [0.5, 0.5]), ([900, 2000, 3100], [0.15, 0.35, 0.5])):
        assert sample_ratio_p(counts, shares) == pytest.approx(check_srm(counts, shares), rel=1e-9)


def test_many_p_values_are_corrected_as_in_statsmodels() -> None:
    """Holm's way, in any order."""
    p = [0.04, 0.001, 0.5, 0.013, 0.02, 1.0]

    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1], rel=1e-12)


def test_an_interval_for_a_share_is_near_wilsons() -> None:
    """Ours is on the log scale; for 120 of 1,000 users it differs from statsmodels' score interval
    by less than a twentieth of its width."""
    rows = np.zeros((1000, 4))
    rows[:120, 0], rows[:, 1] = 1, 1
    low, high = map(math.exp, level(moments(rows), CONTRAST).interval())
    theirs = proportion_confint(120, 1000, method="wilson")

    assert (low, high) == pytest.approx(theirs, abs=0.05 * (high - low))


def test_moments_of_parts_add_up() -> None:
    """Users may come in shards of any size."""
    parts = [moments(part) for part in np.array_split(TEST, 7)]
    whole = parts[0]
    for part in parts[1:]:
        whole = whole + part

    ours, theirs = level(whole, CONTRAST), level(moments(TEST), CONTRAST)
    assert ours.users == theirs.users
    assert ours.log == pytest.approx(theirs.log, rel=1e-12)
    assert ours.se == pytest.approx(theirs.se, rel=1e-9)


def test_the_delta_method_is_what_resampling_users_gives() -> None:
    """A bootstrap over users, 2,000 times: its standard error is known to 2 %, and 8 % are allowed
    (a false alarm once in ten thousand runs, were it not seeded)."""
    rng = np.random.default_rng(5)
    logs = []
    for _ in range(2000):
        rows = TEST[rng.integers(0, len(TEST), len(TEST))]
        logs.append(math.log(rows[:, 0].sum() / rows[:, 1].sum()))

    assert level(moments(TEST), CONTRAST).se == pytest.approx(np.std(logs), rel=0.08)


def test_the_papers_numbers_of_curves_made_by_hand() -> None:
    """R = 0.4 k^-0.3 against 0.2 k^-0.5: Δζ = log 2, Δβ = 0.2."""
    days = range(1, 31)
    columns = tuple(f"{kind}_{k}" for kind in ("observed", "active", "seconds") for k in days)

    def exact(first: float, exponent: float) -> Moments:
        curve = [first * k**exponent for k in days]
        sums = np.array([1.0] * 30 + curve + [100 * r for r in curve]) * 1000
        return Moments(columns, 1000, sums, np.outer(sums, sums) / 1000)

    test, control = exact(0.4, -0.3), exact(0.2, -0.5)
    line = intercept_and_slope(days, "retention")
    intercept, slope = (difference(test, control, contrast) for contrast in line)
    flat = [difference(test, control, c) for c in intercept_and_slope(days, "engagement")]

    assert intercept.log == pytest.approx(math.log(2), abs=1e-9)
    assert slope.log == pytest.approx(0.2, abs=1e-9)
    assert [f.log for f in flat] == pytest.approx([0, 0], abs=1e-9)
    assert [difference(control, control, c).log for c in line] == pytest.approx([0, 0], abs=1e-12)


def test_shares_of_nobody_and_of_everybody_have_intervals() -> None:
    """0 of 200 against 20 of 200, 199 of 200, and no width of zero; Jeffreys' as in statsmodels."""
    none, some, nearly = Share(0.0, 200), Share(0.1, 200), Share(0.995, 200)
    fewer = ShareDifference(none, some, 400)
    z = 1.959964

    assert fewer.interval()[1] < -0.05
    assert fewer.p_value() < 1e-4
    for of, count in ((none, 0), (some, 20), (nearly, 199)):
        theirs = proportion_confint(count, 200, method="jeffreys")
        low, high = of.bounds(z)
        assert low == pytest.approx(theirs[0] if count else 0, abs=1e-6)
        assert high == pytest.approx(theirs[1], abs=1e-6)


def test_a_p_value_is_the_alpha_whose_interval_ends_at_zero() -> None:
    """Of a difference of shares; an always-valid one is larger."""
    found = ShareDifference(Share(0.14, 900), Share(0.1, 1100), 2000)
    p = found.p_value()

    assert found.interval(p)[0] == pytest.approx(0, abs=1e-6)
    assert found.p_value(always_valid=True) > p
    assert ShareDifference(Share(0.1, 900), Share(0.1, 900), 1800).p_value() == 1


def test_users_who_fail_together_are_few_trials() -> None:
    """Ten users have all of a thousand failures: ten trials of their kind, not thousands."""
    rows = np.column_stack([np.repeat([100.0, 0.0], [10, 990]), np.full(1000, 100.0)])
    failing = share(Moments.of(("failed", "all"), rows), "failed", "all")

    assert failing.value == pytest.approx(0.01)
    assert failing.trials == pytest.approx(1000)


def test_a_quantile_counts_users_not_responses() -> None:
    """A bootstrap over users, 300 times: its standard error is known to 4 %, and 25 % are allowed
    (a false alarm once in ten thousand runs, were it not seeded)."""
    rng = np.random.default_rng(6)
    user = np.repeat(np.arange(400), 10)
    times = rng.lognormal(0, 0.5, 400)[user] * rng.lognormal(0, 0.2, len(user))
    by_user = times.reshape(400, 10)
    drawn = [by_user[rng.integers(0, 400, 400)].ravel() for _ in range(300)]
    for part in (0.5, 0.95):
        ours = quantile(times, user, part)
        logs = [math.log(np.quantile(values, part)) for values in drawn]

        assert ours.log == pytest.approx(math.log(np.quantile(times, part)), abs=0.01)
        assert ours.se == pytest.approx(np.std(logs), rel=0.25)


def test_a_line_through_a_bend_does_not_fit() -> None:
    """4,000 users in each arm, one of which comes twice as often on days 1 to 4 alone; without
    that a line fits 19 of 20 times."""
    rng = np.random.default_rng(8)
    days = list(range(1, 31))
    columns = tuple(f"{kind}_{k}" for kind in ("observed", "active") for k in days)

    def arm(factor: float) -> Moments:
        chance = np.array([0.3 * k**-0.4 * (factor if k <= 4 else 1) for k in days])
        came = rng.random((4000, 30)) < chance
        return Moments.of(columns, np.hstack([np.ones((4000, 30)), came]))

    of_day = {k: retention(k) for k in days}
    bent = lack_of_fit(arm(2.0), arm(1.0), days, of_day)
    straight = [lack_of_fit(arm(1.0), arm(1.0), days, of_day) for _ in range(20)]

    assert not bent.is_good
    assert (2, 3) in bent.off
    assert sum(fit.is_good for fit in straight) >= 18
