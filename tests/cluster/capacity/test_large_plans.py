"""Plans for large rates: found in few steps, and as right as the verified ones."""

import json
from pathlib import Path

import pytest

from blended.autoscaling.policy import replicas
from cluster.capacity import plan
from cluster.capacity.queueing import (
    ComponentQueue,
    ServiceLevel,
    Spread,
    SteadyState,
)
from loadtests.studies.plans import cases
from tests.cluster.capacity.sites import (
    LENGTHS,
    curve,
    planned,
)

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("spread", ["least", "hash"])
def test_a_large_rate_takes_few_steps(spread: Spread) -> None:
    """Of thousands of numbers of replicas some dozens are looked at, from the fluid limit on."""
    counts: list[int] = []

    class Counting(ComponentQueue):
        def load(self, rate: float, replicas: int) -> SteadyState:
            counts.append(replicas)
            return super().load(rate, replicas)

    queue = Counting(curve(1), LENGTHS, ServiceLevel(0.8, 0.06), spread)
    found = queue.replicas(100_000)

    assert found > 2_000
    assert len(counts) < 60
    assert queue.load(100_000, found).missed <= 0.01 < queue.load(100_000, found - 1).missed


def test_capacity_ends_where_another_replica_adds_what_the_last_one_did(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Autoscaling goes on by the last step, and asks for hardly more replicas than planned."""
    for found in planned(site, capsys, "--rate", "5000")["components"].values():
        assert len(found["capacity"]) == 101 < found["max_replicas"]
        by_policy = replicas(found["rate"], found["capacity"])
        assert found["max_replicas"] <= by_policy <= 1.002 * found["max_replicas"]


def test_the_verified_plans_are_what_they_were() -> None:
    """The numbers of replicas with which ten service levels were measured."""
    blend, demands = cases.read()
    curves = cases.curves(blend)
    runs = json.loads((ROOT / "loadtests/results/plans.json").read_text())["runs"]
    measured = [run["replicas"] for run in runs if not run["is_fewer"]]
    found = [cases.expect(blend, case, curves).replicas(is_fewer=False) for case in demands]

    assert len(measured) == 10
    assert found == measured


def test_a_plan_that_takes_a_while_says_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing within two seconds."""
    clock = iter([0.0, 1.9, 2.1])
    progress = plan.Progress(lambda: next(clock))
    for what in ("component 'a', 1 of 2", "component 'b', 2 of 2"):
        progress(what)

    assert capsys.readouterr().err == "Planning component 'b', 2 of 2 …\n"
