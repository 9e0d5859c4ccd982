"""Decisions about replicas: by the rate that a component has to expect, as Serve itself asks."""

import pickle
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import ValidationError
from ray.serve._private.deploy_utils import get_app_code_version
from ray.serve.config import AutoscalingPolicy
from ray.serve.schema import ServeDeploySchema

from blended.app import serve_config
from blended.autoscaling import policy, rate_board
from blended.autoscaling.rate_board import OLDEST_S, Expected
from blended.config import BlendConfig
from loadtests.studies.autoscaling.controller import Clock, Deployment
from tests.support import blend

CAPACITY = (0.0, 2.0, 4.5, 7.0)
NOON = 1e9


def config(**replicas: Any) -> BlendConfig:
    """A blend of a and b, which have the capacity and up to eight replicas."""
    settings = {"max": 8, "capacity": CAPACITY, "downscale_delay_s": 60, **replicas}
    data = blend("a", "b").model_dump(mode="json", exclude_none=True)
    for component in data["components"]:
        component["replicas"] |= settings
    return BlendConfig.model_validate(data)


class Serve:
    """Serve's autoscaling of a router and the component a, with a clock of its own."""

    def __init__(self, clock: Clock, wanted: BlendConfig) -> None:
        self.clock = clock
        apps = {a["name"]: a["deployments"][0] for a in serve_config(wanted, 8000)["applications"]}
        self.router = Deployment("blended", apps["blended"])
        self.component = Deployment("component-a", apps["component-a"])
        self._replicas = 1

    def decide(self, seconds: float = 1) -> int:
        """Let time pass, and have Serve decide; everything that it wants is there at once."""
        self.clock.now += seconds
        self.router.decide([self.router.replica(name) for name in ("r1", "r2")])
        names = [self.component.replica(str(i)) for i in range(self._replicas)]
        self._replicas = self.component.decide(names)
        return self._replicas

    def record(self, rate: float, recent: float | None = None, router: str = "r1") -> None:
        """A router replica reports what a has to expect: over a minute, and over 10 seconds."""
        rates = {60.0: {"a": rate}, 10.0: {"a": rate if recent is None else recent}}
        self._report(self.router, router, rate_board.metrics({"a": CAPACITY}, rates))

    def ongoing(self, requests: float) -> None:
        """The first replica of a reports its requests under way."""
        self._report(self.component, "0", {"running_requests": requests})

    def _report(self, deployment: Deployment, replica: str, metrics: Mapping[str, float]) -> None:
        points = {name: [_Point(self.clock.now, value)] for name, value in metrics.items()}
        deployment.take(deployment.replica(replica), self.clock.now, points)


@dataclass(frozen=True)
class _Point:
    timestamp: float
    value: float


@pytest.fixture
def clock() -> Any:
    """Ray's time, which stands still until a test lets it pass."""
    clock = Clock(NOON)
    with clock.is_rays():
        yield clock


@pytest.mark.parametrize(
    ("rate", "count"),
    [(0, 1), (0.1, 2), (2, 2), (2.01, 3), (7, 4), (7.1, 5), (9.5, 5), (9.6, 6)],
)
def test_the_fewest_replicas_whose_capacity_is_enough(rate: float, count: int) -> None:
    """Beyond the capacity's end every replica adds as much as the last one in it."""
    assert policy.replicas(rate, CAPACITY) == count


def test_replicas_are_added_at_once(clock: Clock) -> None:
    """What is expected decides, before any request is under way, and without `upscale_delay_s`."""
    serve = Serve(clock, config(upscale_delay_s=30))
    serve.record(4.0)

    assert serve.decide() == 3


def test_what_all_routers_expect_is_added_up(clock: Clock) -> None:
    """Each router replica counts what it was asked itself."""
    serve = Serve(clock, config())
    serve.record(2.0, router="r1")
    serve.record(2.0, router="r2")

    assert serve.decide() == 3


def test_bounds_hold(clock: Clock) -> None:
    """However much is expected, `min` and `max` are kept."""
    serve = Serve(clock, config(min=2, max=5))
    serve.record(0.0)
    assert serve.decide() == 2
    serve.record(100.0)

    assert serve.decide() == 5


def test_replicas_go_to_the_highest_need_of_the_delay(clock: Clock) -> None:
    """After `downscale_delay_s` below the target: not to what is needed at that very moment."""
    serve = Serve(clock, config())
    needs = [6.9] + [1.0] * 30 + [4.0] + [1.0] * 40
    found = []
    for rate in needs:
        serve.record(rate)
        found.append(serve.decide())

    assert found[0] == 4
    assert set(found[:61]) == {4}
    assert found[-1] == 3


def test_a_need_in_between_begins_the_delay_anew(clock: Clock) -> None:
    """Replicas that were needed a moment ago are not taken away."""
    serve = Serve(clock, config())
    found = []
    for second in range(110):
        serve.record(6.9 if second in (0, 50) else 1.0)
        found.append(serve.decide())

    assert set(found) == {4}


def test_a_rush_counts_before_the_minute_has_passed(clock: Clock) -> None:
    """Ten seconds that chance does not explain decide, though the minute's rate is still low."""
    serve = Serve(clock, config())
    serve.record(2.0, recent=2.0 + 3.9 * (2.0 / 10) ** 0.5)
    assert serve.decide() == 2
    serve.record(2.0, recent=4.4)

    assert serve.decide() == 3


def test_chance_alone_moves_nothing(clock: Clock) -> None:
    """An even rate of random arrivals (Poisson) in the middle of a replica's capacity: no move.

    For an hour, 9 requests a second, of which a third is a's: 3.0, between 2.0 and 4.5. The
    minute's rate is 540 counts; 4.5 is beyond 11 of its standard deviations. A rush by chance is a
    third of a count that is Poisson of mean 90 and exceeds the mean by 4 * sqrt(3 * 10) * 3 = 66
    more: 1e-9 for a window, less than one in 250,000 for the 3,600 of the hour.
    """
    rng = random.Random(7)
    serve = Serve(clock, config())
    arrivals = [_poisson(9.0, rng) for _ in range(60 + 3600)]
    found = []
    for end in range(60, len(arrivals)):
        serve.record(sum(arrivals[end - 60 : end]) / 180, sum(arrivals[end - 10 : end]) / 30)
        found.append(serve.decide())

    assert set(found) == {3}, "by chance less than once in 250,000"


def _poisson(mean: float, rng: random.Random) -> int:
    passed, count = rng.expovariate(mean), 0
    while passed < 1:
        passed, count = passed + rng.expovariate(mean), count + 1
    return count


def test_without_rates_ray_decides_by_what_is_under_way(clock: Clock) -> None:
    """The routers' reports end: after some seconds 28 requests ask for 28 / 10 replicas."""
    serve = Serve(clock, config(target_ongoing_requests=10))
    serve.ongoing(10)
    serve.record(1.0)
    assert serve.decide() == 2
    serve.clock.now += OLDEST_S - 2
    serve.ongoing(28)
    assert serve.decide() == 2

    assert serve.decide() == 3


def test_a_capacity_that_promises_too_much_is_not_believed(clock: Clock) -> None:
    """Two replicas should do, but one has four times under way what is planned for it."""
    serve = Serve(clock, config(target_ongoing_requests=10))
    serve.ongoing(40)
    serve.record(1.0)

    assert serve.decide() == 4


def test_rates_that_come_back_decide_again(clock: Clock) -> None:
    """A controller that was restarted knows nothing, until the routers report again."""
    serve = Serve(clock, config(target_ongoing_requests=10))
    serve.ongoing(5)
    serve.decide()
    serve.record(4.0)

    assert serve.decide() == 3


def code_versions(wanted: BlendConfig) -> dict[str, str]:
    """What Serve compares, by application, to decide whether replicas have to restart."""
    schema = ServeDeploySchema.model_validate(serve_config(wanted, 8000))
    return {app.name: get_app_code_version(app) for app in schema.applications}


def test_a_capacity_restarts_nothing() -> None:
    """Given, changed or taken away: every application stays the code that it was."""
    others = [config(capacity=(1.0, 3.0)), config(capacity=None)]

    assert [code_versions(other) for other in others] == [code_versions(config())] * 2


def test_policies_share_one_board() -> None:
    """Serve pickles policies apart from each other; what the router's leaves, the others read."""
    names = ("router_policy", "ComponentPolicy")
    paths = [f"blended.autoscaling.policy:{name}" for name in names]
    policies = [AutoscalingPolicy.model_validate({"policy_function": path}) for path in paths]
    router, component = (pickle.loads(p.get_serialized_policy_def() or b"") for p in policies)

    assert router.__globals__ is not component.__call__.__globals__
    assert router.__globals__["rate_board"].BOARD is rate_board.BOARD
    assert component.__call__.__globals__["rate_board"].BOARD is rate_board.BOARD


@pytest.mark.parametrize(
    ("capacity", "message"),
    [
        ([2, 1], "more replicas answer no less"),
        ([2, 2], "the last rate adds nothing"),
        ([0], "the last rate adds nothing"),
        ([-1, 2], "greater than or equal to 0"),
        ([], "at least 1 item"),
    ],
)
def test_a_capacity_that_cannot_be_is_refused(capacity: list[float], message: str) -> None:
    """It rises, and its last replica adds something, as all beyond it are taken to do."""
    with pytest.raises(ValidationError, match=message):
        config(capacity=capacity)


def test_a_router_that_hangs_is_left_out(clock: Clock) -> None:
    """What it reported long ago is not added to what the others are asked instead."""
    serve = Serve(clock, config())
    serve.record(4.0, router="r1")
    for _ in range(75):
        serve.clock.now += 1
        serve.record(1.0, router="r2")
        found = serve.decide(0)

    assert found == 2


def test_a_new_capacity_counts_from_its_first_report() -> None:
    """The rates that a router replica has recorded under the old one are not counted beside it."""
    new = rate_board.metrics({"a": (8.0,)}, {60.0: {"a": 4.0}, 10.0: {"a": 4.0}})
    old = rate_board.metrics({"a": CAPACITY}, {60.0: {"a": 4.0}, 10.0: {"a": 4.0}})
    series = {name: {"r1": [_Point(NOON, value)]} for name, value in old.items()}
    series |= {name: {"r1": [_Point(NOON + 1, value)]} for name, value in new.items()}

    found = rate_board.summed(series, NOON + 1)
    assert found == {"a": Expected(NOON + 1, (8.0,), {60.0: 4.0, 10.0: 4.0})}


@pytest.mark.parametrize("jump_s", [-3600.0, 3600.0])
def test_a_clock_that_is_set_keeps_no_rate_alive(jump_s: float) -> None:
    """Rates of before are unknown at once, also beside those that are recorded after the jump."""
    later = NOON + jump_s
    old = rate_board.metrics({"a": CAPACITY}, {60.0: {"a": 4.0}, 10.0: {"a": 4.0}})
    new = rate_board.metrics({"a": (8.0,)}, {60.0: {"a": 2.0}, 10.0: {"a": 2.0}})
    before = {name: {"r1": [_Point(NOON, value)]} for name, value in old.items()}
    after = {name: {"r1": [_Point(later, value)]} for name, value in new.items()}
    board = rate_board.Board()
    board.leave(rate_board.summed(before, NOON))

    assert board.read("a", NOON) is not None
    assert board.read("a", later) is None
    assert rate_board.summed(before, later) == {}
    found = rate_board.summed(before | after, later)
    assert found == {"a": Expected(later, (8.0,), {60.0: 2.0, 10.0: 2.0})}


def test_without_a_capacity_a_component_is_scaled_by_ray(clock: Clock) -> None:
    """The decision, the delay before it included, is that of Ray's own policy."""
    plain = {"max": 8, "target_ongoing_requests": 10, "upscale_delay_s": 5}
    wanted = config(**plain, capacity=None)
    serve = Serve(clock, wanted)
    serve.ongoing(40)

    assert [serve.decide() for _ in range(7)][4:] == [1, 4, 4]
