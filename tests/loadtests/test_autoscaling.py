"""The day that policies are compared on, and the simulation that takes them through it."""

import heapq
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from blended.autoscaling import rate_board
from blended.config import Replicas, Simulation
from cluster.capacity.queueing import ServiceLevel
from loadtests.studies.autoscaling import report
from loadtests.studies.autoscaling.day import Day
from loadtests.studies.autoscaling.outcome import DayOutcome
from loadtests.studies.autoscaling.queueing import QueuedResponse, Replica
from loadtests.studies.autoscaling.setting import Contender, Setting
from loadtests.studies.autoscaling.simulated import Trouble, live_through

RESULTS = Path(__file__).parents[2] / "loadtests" / "results"
ENGINE = Simulation(ttft_ms=100, ttft_ms_per_running=100, itl_ms=10, itl_ms_per_running=10)
# A whole day in 24 minutes, whose replicas start in no more than a second of it.
QUICK = Setting(
    Day(12, {"a": 3, "b": 2, "c": 1}, {"a": 1, "b": 2, "c": 3}, hour_s=60),
    Simulation(ttft_ms=200, ttft_ms_per_running=20, itl_ms=15, itl_ms_per_running=0.8, tokens=200),
    ServiceLevel(1.5, 0.04),
)
BY_RATE = Contender("by-rate", "by the rate", is_aware=True, downscale_delay_s=60)
RAYS = Contender("rays", "Ray's", is_aware=False, downscale_delay_s=60)


class Events:
    """Simulated time: what is scheduled happens in order."""

    def __init__(self) -> None:
        self._queue: list[tuple[float, int, Callable[[float], None]]] = []
        self._order = count()

    def schedule(self, at_s: float, event: Callable[[float], None]) -> None:
        heapq.heappush(self._queue, (at_s, next(self._order), event))

    def pass_all(self) -> None:
        while self._queue:
            now, _, event = heapq.heappop(self._queue)
            event(now)


def answered(*arrivals_s: float, at_once: int = 8) -> Iterator[QueuedResponse]:
    """Responses of five tokens that one replica gave, by the time at which they ended."""
    events, ended = Events(), list[QueuedResponse]()
    settings = Replicas(target_ongoing_requests=1, max_ongoing_requests=at_once)
    replica = Replica(ENGINE, settings, events.schedule, ended.append)
    for at_s in arrivals_s:
        response = QueuedResponse(at_s, 5, 1.0)
        events.schedule(at_s, lambda now, one=response: replica.take(one, now))  # type: ignore[misc]
    events.pass_all()
    return iter(ended)


def test_a_response_alone_takes_what_its_engine_says() -> None:
    """0.1 + 0.1 s to the first of five tokens, 0.01 + 0.01 s to each of the others."""
    (only,) = answered(1.0)

    assert [only.ttft_s, only.itl_s] == pytest.approx([0.2, 0.02])


def test_responses_at_once_slow_each_other_down() -> None:
    """The second begins as the first has its first token: the tokens of both take 0.01 s longer."""
    first, second = answered(0.0, 0.2)

    # Four tokens at 0.03 s, while the other waits for its first until 0.2 + 0.3 s, then alone.
    assert first.last_s == pytest.approx(0.2 + 4 * 0.03)
    assert second.first_s == pytest.approx(0.2 + 0.3)
    assert second.itl_s == pytest.approx(0.02)


def test_who_finds_no_place_waits() -> None:
    """With one place the second begins when the first has ended."""
    first, second = answered(0.0, 0.1, at_once=1)

    assert second.ttft_s == pytest.approx(first.last_s - 0.1 + 0.2)


def test_arrivals_follow_the_rate() -> None:
    """In each hour about as many as the rate says; five standard deviations: 1 in 70,000 for 24."""
    day = Day(50, {"a": 1}, {"a": 1})
    counts, _ = np.histogram(day.arrivals(seed=3), bins=24, range=(0, day.length_s))
    times = np.linspace(0, day.length_s, 24 * 3600)
    expected = day.rate(times).reshape(24, -1).sum(axis=1)

    assert np.all(np.abs(counts - expected) < 5 * np.sqrt(expected)), "by chance 1 in 70,000"


def test_all_contenders_get_the_same_requests() -> None:
    """A seed gives one day: whoever scales, as many responses; and again the same outcome."""
    first, again, rays = (live_through(QUICK, c, 1, 7) for c in (BY_RATE, BY_RATE, RAYS))

    assert first == again
    assert first.ends.total() == pytest.approx(rays.ends.total(), rel=0.01)


def test_a_component_that_is_down_keeps_its_replicas() -> None:
    """Its requests go to others for an hour; the rate holds its replicas, Ray's takes them away."""
    down = Trouble("c", (18 * 60, 20 * 60))

    def of_c(contender: Contender) -> int:
        course = live_through(QUICK, contender, 1, 7, down).course
        return next(replicas["c"] for at_s, replicas in course if at_s >= down.down[1] - 60)

    assert of_c(BY_RATE) > of_c(RAYS)


def test_without_word_from_the_routers_ray_decides() -> None:
    """When nothing is ever known of the rates, the replicas are those of Ray's own policy."""
    eager = replace(RAYS, upscale_delay_s=0)
    silent = live_through(QUICK, BY_RATE, 1, 7, Trouble(silent=(0, QUICK.day.length_s)))

    assert silent == live_through(QUICK, eager, 1, 7)


def test_violations_are_all_that_was_not_in_time(tmp_path: Path) -> None:
    """Late, slow or refused; the table and the picture have a place for each way to scale."""
    outcome = DayOutcome()
    for ttft_s, itl_s in ((0.1, 0.01), (9, 0.01), (0.1, 9), (0.1, 0.01)):
        outcome.end(ttft_s, itl_s, QUICK.level)
    outcome.ends["refused"] += 1
    outcome.course = [(0.0, {"a": 1, "b": 1, "c": 1})]
    report.save(tmp_path / "day.png", QUICK.day, {"by rate": outcome})

    assert outcome.violations == pytest.approx(3 / 5)
    assert report.table("a day", {"by rate": outcome}).row_count == 1
    assert (tmp_path / "day.png").stat().st_size > 1000


@pytest.mark.parametrize(("name", "days"), [("simulated", 3), ("real", 1)])
def test_a_committed_day_has_fewer_violations_at_fewer_replica_hours(name: str, days: int) -> None:
    """By the expected rate against Ray's policy: simulated as planned, with a component down and
    with an hour without word of the rates; for real as planned."""
    found = json.loads((RESULTS / f"autoscaling-{name}.json").read_text())["days"]

    assert len(found) == days
    for outcomes in found.values():
        by_rate, rays = outcomes["by the expected rate"], outcomes["Ray's, as planned"]
        assert by_rate["violations_percent"] < rays["violations_percent"]
        assert by_rate["replica_hours"] < rays["replica_hours"]


def test_in_a_crowd_that_is_over_at_once_the_committed_runs_favour_spare_replicas() -> None:
    """Five runs: always fewer replica hours by the expected rate, and more violations in four."""
    runs = json.loads((RESULTS / "autoscaling-real-shorter.json").read_text())
    pairs = [tuple(outcomes.values()) for run in runs for outcomes in run["days"].values()]

    assert len(pairs) == 5
    assert all(by_rate["replica_hours"] < rays["replica_hours"] for by_rate, rays in pairs)
    worse = [b["violations_percent"] > rays["violations_percent"] for b, rays in pairs]
    assert sum(worse) == 4


def test_a_faster_day_has_shorter_delays() -> None:
    """What Ray waits for is as many times shorter; what the contender aims at stays."""
    quick = replace(RAYS, goodput=0.999, upscale_delay_s=30).faster(10)

    assert quick == replace(RAYS, goodput=0.999, upscale_delay_s=3, downscale_delay_s=6)


def test_the_rate_comes_the_way_that_was_measured_to_be_the_quickest() -> None:
    """Routers report as often as the quickest carrier of the committed run, and at no more work."""
    carriers = json.loads((RESULTS / "autoscaling-carriers.json").read_text())["carriers"]
    quickest = min(carriers, key=lambda name: carriers[name]["step_to_decision_median_s"])
    least = min(carriers, key=lambda name: carriers[name]["controller_cpu_percent"])

    assert len(carriers) == 3
    assert quickest == least == "Serve's reports, every second"
    assert rate_board.REPORT_S == 1
