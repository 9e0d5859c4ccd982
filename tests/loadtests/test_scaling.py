"""Throughput by replicas: what is served and reported, and the simulation that carries it on."""

import json
import random
from pathlib import Path

import pytest

from blended.config import BlendConfig
from loadtests.studies.scaling import __main__ as scaling
from loadtests.studies.scaling.simulated import MeasuredLevel, SimulatedFleet, line, simulate

RESULT = Path(__file__).parents[2] / "loadtests" / "results" / "scaling.json"


def site(routers: int, router_s: float, replicas: int = 10) -> SimulatedFleet:
    """Three components of so many replicas; 20 tokens in 2 s each, 4 at once."""
    return SimulatedFleet(3, replicas, 4, routers, 20, 0.1, 0.1, router_s)


def row(replicas: int, per_s: float) -> MeasuredLevel:
    """A measured level."""
    return MeasuredLevel(replicas, 4, 2, 1, 6.0, 100, 0, per_s, {}, 0.5, 0.0)


def test_with_routers_to_spare_all_places_are_taken() -> None:
    """Throughput is what the places allow, whatever their number."""
    for replicas in (1, 10, 100):
        found = simulate(site(8, 0.0001, replicas), 12, random.Random(1))
        assert found.per_s == pytest.approx(site(8, 0.0001, replicas).capacity, rel=0.02)
        assert found.wait_p99_s < 0.001


def test_routers_that_are_too_few_are_the_limit() -> None:
    """Then throughput is what their CPU time allows, and tokens wait for them."""
    found = simulate(site(2, 0.05), 30, random.Random(1))

    assert site(2, 0.05).capacity == 60
    assert found.per_s == pytest.approx(2 / 0.05, rel=0.03)
    assert found.router_busy == pytest.approx(1, rel=0.03)
    assert found.wait_p99_s > 0.1


def test_the_controllers_line_goes_through_its_points() -> None:
    """What it takes without replicas, and for each of them."""
    assert line([5, 8, 14, 26], [0.05 + 0.002 * n for n in (5, 8, 14, 26)]) == pytest.approx(
        (0.05, 0.002)
    )


def test_linear_is_by_place() -> None:
    """Twice the replicas should give twice the responses; the worst level counts."""
    assert scaling.linearity([row(1, 6.0), row(2, 12.0), row(8, 48.0)]) == pytest.approx(0)
    assert scaling.linearity([row(1, 6.0), row(2, 11.4), row(8, 48.0)]) == pytest.approx(0.05)


def test_what_is_served_is_a_blend() -> None:
    """As many replicas and places as wanted, and routers as a plan has them."""
    wanted = scaling.site(8, 4)
    found = BlendConfig.model_validate(scaling.blend(wanted))

    assert wanted.routers == 2 == found.router.replicas.min
    assert scaling.site(333, 4).routers == 9
    assert [c.id for c in found.components] == ["c0", "c1", "c2"]
    for component in found.components:
        assert component.kind == "simulated"
        assert component.replicas.min == component.replicas.max == 8
        assert component.replicas.max_ongoing_requests == component.simulation.concurrency == 4


def test_the_committed_result_is_linear_in_its_replicas() -> None:
    """From 1 to 16 of each component within 5 %, then to where the machine ends; simulated to 1,000
    replicas."""
    result = json.loads(RESULT.read_text())
    rows = [MeasuredLevel(**found) for found in result["measured"]]
    growing = [found for found in rows if found.places == rows[0].places]

    assert [found.replicas for found in growing] == [1, 2, 4, 8, 16]
    assert scaling.linearity(growing) == result["off_linear"] <= 0.05
    assert all(found.refused == 0 for found in rows)
    assert rows[-1].per_s < 0.95 * rows[-1].capacity
    assert rows[-1].machine_busy > 0.95
    assert max(found["components"] * found["replicas"] for found in result["simulated"]) == 999
