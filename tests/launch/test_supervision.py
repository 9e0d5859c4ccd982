"""A blend whose cluster ends by itself is started again, in simulated time."""

from collections.abc import Callable

import pytest

from blended.errors import LaunchError
from blended.launch.supervision import End, Patience, supervise

LOST: tuple[float, End] = (1, "lost")
LOST_AFTER_A_DAY: tuple[float, End] = (86_400, "lost")
PATIENCE = Patience(first_s=1, longest_s=8, restarts=5, within_s=600)


class Cluster:
    """A cluster that lives as long as it is told each time, and then ends in this way."""

    def __init__(self, *lives: tuple[float, End]) -> None:
        self.lives, self.now = list(lives), 0.0
        self.starts = list[float]()
        self.said = list[str]()
        self.failing: Callable[[int], bool] = lambda number: False

    def start(self) -> None:
        """Start it, unless this start is to fail."""
        self.starts.append(self.now)
        if self.failing(len(self.starts)):
            raise LaunchError("Port 8000 cannot be used.")

    def wait(self) -> End:
        """Let its life pass."""
        seconds, end = self.lives.pop(0)
        self.now += seconds
        return end

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds

    def supervise(self, patience: Patience = PATIENCE) -> None:
        """Start it, and again whenever it is lost."""
        clock = lambda: self.now  # noqa: E731
        supervise(self.start, self.wait, self.said.append, clock, self.sleep, patience)


def test_what_is_stopped_is_not_started_again() -> None:
    """Somebody has said `blended down`."""
    cluster = Cluster((100, "stopped"))
    cluster.supervise()

    assert cluster.starts == [0]
    assert cluster.said == []


def test_what_is_lost_is_started_again_after_pauses_that_grow() -> None:
    """A second, two, four; it is said each time."""
    cluster = Cluster((10, "lost"), (10, "lost"), (10, "lost"), (10, "stopped"))
    cluster.supervise()

    assert cluster.starts == [0, 11, 23, 37]
    assert len(cluster.said) == 3
    assert "started again in 4 s" in cluster.said[2]


def test_a_loss_that_is_long_ago_counts_no_more() -> None:
    """Once a day for ten days: each time after a second."""
    cluster = Cluster(*[LOST_AFTER_A_DAY] * 10, (1, "stopped"))
    cluster.supervise()

    assert len(cluster.starts) == 11
    assert all("in 1 s" in sentence for sentence in cluster.said)


def test_too_many_losses_in_a_short_time_are_an_error() -> None:
    """Five are mended, the sixth is not."""
    cluster = Cluster(*[LOST] * 6)
    with pytest.raises(LaunchError, match="lost 6 times within 600 s"):
        cluster.supervise()

    assert len(cluster.starts) == 6


def test_a_start_that_fails_is_tried_again() -> None:
    """Its cause is said, and it counts as a loss."""
    cluster = Cluster((10, "lost"), (10, "stopped"))
    cluster.failing = lambda number: number in (2, 3)
    cluster.supervise()

    assert cluster.starts == [0, 11, 13, 17]
    assert sum("Port 8000 cannot be used" in sentence for sentence in cluster.said) == 2


def test_a_first_start_that_fails_is_an_error() -> None:
    """A mistake in the blend's file is not tried again and again."""
    cluster = Cluster()
    cluster.failing = lambda number: True
    with pytest.raises(LaunchError, match="Port 8000"):
        cluster.supervise()

    assert cluster.starts == [0]


def test_without_restarts_a_loss_is_an_error() -> None:
    """So that a service manager sees it."""
    cluster = Cluster((10, "lost"))
    with pytest.raises(LaunchError, match="with --restart"):
        cluster.supervise(Patience(restarts=0))

    assert cluster.starts == [0]
