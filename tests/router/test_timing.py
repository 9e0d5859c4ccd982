"""Durations of a response, on a clock that the test advances."""

import pytest

from blended.router.timing import Timing


def timed(*moments: float) -> Timing:
    """A Timing whose clock gives these times, one at each reading."""
    return Timing(iter(moments).__next__)


def test_the_parts_of_a_stream() -> None:
    """TTFT and E2E count from the request, ITL between pieces; the rest is the router's."""
    timing = timed(10.0, 10.2, 10.5, 10.6, 10.8, 10.9, 11.0)
    timing.ask()
    for _ in range(3):
        timing.come()
        timing.piece()
    timing.come()  # [DONE], which is no piece
    timing.end()

    assert timing.ttft_s == pytest.approx(0.5)
    assert timing.itl_s == pytest.approx((0.15, 0.2))
    assert timing.e2e_s == pytest.approx(1.0)
    assert timing.router_s == pytest.approx(0.2 + 0.1)


def test_a_response_that_never_came() -> None:
    """There is no TTFT and no ITL, and all of its time is the router's."""
    timing = timed(10.0, 10.1, 12.0)
    timing.ask()
    timing.end()

    assert (timing.ttft_s, timing.itl_s) == (None, None)
    assert timing.router_s == pytest.approx(2.0)


@pytest.mark.parametrize(("gaps", "rank"), [(1, 1), (99, 99), (100, 99), (101, 100), (200, 198)])
def test_the_99th_percentile_is_the_nearest_rank(gaps: int, rank: int) -> None:
    """For the gaps 1, 2, …, n it is the ceiling of 0.99 n."""
    moments = [0.0]
    for gap in range(1, gaps + 1):
        moments.append(moments[-1] + gap)
    timing = timed(0.0, *moments)
    for _ in moments:
        timing.come()
        timing.piece()

    assert timing.itl_s is not None
    assert timing.itl_s[1] == rank
