"""Plans held against what was measured: the cases, the verdict, and the open loop's client."""

import asyncio
import json
import random
from pathlib import Path
from statistics import fmean

import pytest

from blended.config import (
    Api,
    BlendConfig,
    RemoteComponent,
    Selection,
    SimulatedComponent,
    Simulation,
)
from loadtests.harness.open_loop import RequestOutcome, ScheduledRequest, arrivals, drive
from loadtests.harness.timed_client import MeasurementFailed, TimedResponse
from loadtests.studies.plans import __main__ as verification
from loadtests.studies.plans import cases
from loadtests.studies.plans.cases import Case
from tests.support import CLIENT_KEY, rig

RESULT = Path(__file__).parents[2] / "loadtests" / "results" / "plans.json"
CASE = Case(
    weights={"quick": 1}, rate=1, prompt=50, response=20, ttft_s=0.5, itl_s=0.05, goodput=0.9
)
GOOD = TimedResponse(first_s=0.4, last_s=0.8, prompt=50, tokens=11)


def outcome(
    response: TimedResponse | None, due_s: float = 20.0, late_s: float = 0.0
) -> RequestOutcome:
    """What became of one request."""
    return RequestOutcome(ScheduledRequest(due_s, 46, 20), late_s, response)


def test_a_plan_is_expected_to_be_right_in_every_case() -> None:
    """By the profiles that are there: the level is kept with the planned replicas, and missed by
    far with one fewer of one component."""
    found, demands = cases.read()
    curves = cases.curves(found)

    assert len(demands) == 10
    for case in demands:
        expected = cases.expect(found, case, curves)
        assert expected.planned >= 0.994, case
        assert expected.fewer <= 0.975, case
        planned, fewer = expected.replicas(False), expected.replicas(True)
        assert sum(planned.values()) - sum(fewer.values()) == 1
        assert planned[expected.tightest] > fewer[expected.tightest] >= 1


def test_what_is_served_is_a_blend_with_the_plans_limits() -> None:
    """Fixed replica counts, the case's weights, and no autoscaling."""
    found, demands = cases.read()
    expected = cases.expect(found, demands[0], cases.curves(found))
    data = cases.served(found, demands[0], expected.plan, expected.replicas(True))
    served = BlendConfig.model_validate(data)

    assert served.weights == demands[0].weights
    assert served.api.reveal_component
    for component in served.components:
        planned = expected.plan.components[component.id]
        assert component.kind == "simulated"
        count = expected.replicas(True)[component.id]
        assert component.replicas.min == component.replicas.max == count
        assert component.replicas.max_ongoing_requests == planned.max_ongoing_requests
        assert component.replicas.max_queued_requests == planned.max_queued_requests


@pytest.mark.parametrize(
    ("response", "share"),
    [
        (GOOD, 1.0),
        (None, 0.5),
        (TimedResponse(0.6, 0.9, 50, 11), 0.5),
        (TimedResponse(0.4, 1.0, 50, 11), 0.5),
        (TimedResponse(0.4, 0.8, 50, 11, attempts=2), 1.0),
        (TimedResponse(0.4, 0.8, 50, 11, attempts=2, is_redrawn=True), 0.5),
    ],
)
def test_a_good_response_is_whole_in_time_and_from_who_was_drawn(
    response: TimedResponse | None, share: float
) -> None:
    """Late first tokens, slow ones, failures and redraws are not; the warm-up does not count."""
    outcomes = [outcome(GOOD), outcome(response), outcome(None, due_s=1.0)]

    assert verification.goodput(outcomes, CASE) == share


def test_a_client_that_is_late_measures_nothing() -> None:
    """The responses would be blamed for it."""
    with pytest.raises(MeasurementFailed, match=r"sent 0\.50 s late"):
        verification.goodput([outcome(GOOD, late_s=0.5)], CASE)


@pytest.mark.parametrize(
    ("planned", "fewer", "right"), [(0.95, 0.7, True), (0.95, 0.91, False), (0.8, 0.7, False)]
)
def test_a_plan_is_right_if_one_replica_decides(planned: float, fewer: float, right: bool) -> None:
    """The level is kept with it, and missed without it."""
    runs = [verification.CaseRun(0, good == fewer, {}, 9, 1, good) for good in (planned, fewer)]

    assert verification.right(runs, CASE) == right


def test_arrivals_have_the_rate_and_the_lengths() -> None:
    """Over 1,000 s at 20/s, seeded: within four standard errors, whose odds are 6e-5."""
    asks = list(arrivals(20, 1000, 46, 30, random.Random(1)))

    assert len(asks) == pytest.approx(20_000, abs=4 * 20_000**0.5)
    # Uniform from 15 to 45: a standard deviation of 8.9.
    assert fmean(ask.tokens for ask in asks) == pytest.approx(30, abs=4 * 8.9 / len(asks) ** 0.5)
    assert {ask.tokens for ask in asks} == set(range(15, 46))


async def test_an_open_loop_does_not_wait_for_answers() -> None:
    """Ten requests a hundredth of a second apart are all under way before the first is answered;
    a failure is kept with its reason."""
    simulation = Simulation(ttft_ms=600_000)
    slow = SimulatedComponent(kind="simulated", id="a", simulation=simulation)
    asks = [ScheduledRequest(0.01 * number, 5, 5) for number in range(10)]
    async with rig(BlendConfig(name="blend", components=(slow,))) as front:
        url = f"{front.url}/v1/chat/completions"
        headers = {"authorization": f"Bearer {CLIENT_KEY}"}
        driving = asyncio.create_task(drive(url, headers, "blend", asks))
        while front.components["a"].running < 10:  # noqa: ASYNC110 - a counter knows no events
            await asyncio.sleep(0.01)
        driving.cancel()
        refused = await drive(url, {"authorization": "Bearer wrong"}, "blend", asks[:2])

    assert [o.response for o in refused] == [None, None]
    assert all(o.failure.startswith("401: ") for o in refused)


async def test_a_response_says_that_it_was_redrawn() -> None:
    """The component that is drawn a thousand times as often is not there: the other one answers."""
    gone = RemoteComponent(kind="remote", id="gone", base_url="http://127.0.0.1:9/v1", model="x")
    there = SimulatedComponent(kind="simulated", id="a", simulation=Simulation(ttft_ms=1, itl_ms=1))
    config = BlendConfig(
        name="blend",
        components=(gone, there),
        selection=Selection(weights={"gone": 1000, "a": 1}, seed="1"),
        api=Api(reveal_component=True),
    )
    async with rig(config) as front:
        url = f"{front.url}/v1/chat/completions"
        headers = {"authorization": f"Bearer {CLIENT_KEY}"}
        (redrawn,) = await drive(url, headers, "blend", [ScheduledRequest(0, 5, 5)])
        (direct,) = await drive(url, headers, "a", [ScheduledRequest(0, 5, 5)])

    assert redrawn.response is not None
    assert redrawn.response.is_redrawn
    assert direct.response is not None
    assert not direct.response.is_redrawn


def test_the_committed_plans_are_right() -> None:
    """All ten cases were served, with the planned replicas and with one fewer; nine are right."""
    result = json.loads(RESULT.read_text())
    _, demands = cases.read()
    runs = [verification.CaseRun(**found) for found in result["runs"]]
    pairs = [[run for run in runs if run.number == number] for number in range(len(demands))]

    assert [Case.model_validate(case) for case in result["cases"]] == list(demands)
    assert all(run.responses >= 500 for run in runs)
    assert all(planned.is_fewer < fewer.is_fewer for planned, fewer in pairs)
    verdicts = [verification.right(pair, case) for pair, case in zip(pairs, demands, strict=True)]
    assert sum(verdicts) == result["right"] >= 9
