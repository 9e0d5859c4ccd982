"""Percentiles, medians of passes, differences and ratios."""

import pytest

from loadtests.harness.percentiles import middle, minus, over, percentile, quantiles


@pytest.mark.parametrize(("share", "expected"), [(0.5, 50), (0.99, 99), (1.0, 100), (0.001, 1)])
def test_a_percentile_is_the_nearest_rank(share: float, expected: int) -> None:
    """At least that share of the values are no greater than it, and it is one of them."""
    assert percentile(range(1, 101), share) == expected


def test_quantiles_do_not_need_sorted_values() -> None:
    """The values come in the order in which they were measured."""
    assert quantiles([3.0, 1.0, 2.0]) == {"p50": 2.0, "p99": 3.0}


def test_nothing_measured_has_no_quantiles() -> None:
    """There is no figure rather than zero."""
    assert quantiles([]) is None


def test_the_median_of_passes_leaves_out_those_without_a_figure() -> None:
    """A pass that failed does not pull the median down."""
    assert middle([5.0, None, 1.0, 3.0]) == 3.0
    assert middle([None]) is None


def test_nothing_is_compared_with_what_is_missing() -> None:
    """A difference or ratio needs both sides, and a ratio something to divide by."""
    assert minus(3.0, 1.0) == 2.0
    assert minus(None, 1.0) is None
    assert over(3.0, 2.0) == 1.5
    assert over(3.0, 0.0) is None
    assert over(3.0, None) is None
