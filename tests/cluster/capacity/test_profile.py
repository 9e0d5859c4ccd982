"""What one replica can do, measured on a simulated one whose times are known."""

import argparse
import time

import pytest

from blended.config import BlendConfig, SimulatedComponent, Simulation, VllmComponent
from blended.config.loading import load
from blended.errors import ConfigError
from cluster.capacity import profile
from loadtests.harness.timed_client import MeasurementFailed, TimedResponse
from tests.support import CLIENT_KEY, rig


def timed(ttft_ms: float, itl_ms: float) -> BlendConfig:
    """A component with exactly these times, whose responses are as long as they may be."""
    simulation = Simulation(ttft_ms=ttft_ms, itl_ms=itl_ms, tokens=100_000, jitter=0)
    component = SimulatedComponent(kind="simulated", id="a", simulation=simulation)
    return BlendConfig(name="blend", components=(component,))


def job(**fields: object) -> argparse.Namespace:
    return argparse.Namespace(
        **{"component": "a", "response": 20, "seconds": 1.0, "responses": 9} | fields
    )


def target(url: str, key: str = CLIENT_KEY) -> dict[str, object]:
    return {"url": f"{url}/v1/chat/completions", "headers": {"authorization": f"Bearer {key}"}}


async def test_times_are_those_of_the_component() -> None:
    """Never below the simulated ones, tokens as many as asked for, prompts as long as they are."""
    async with rig(timed(ttft_ms=100, itl_ms=10)) as front:
        found = await profile.point(job(), target(front.url), clients=3, words=50)

    assert found.running == 3
    assert found.response == 20
    assert found.prompt > 50
    assert found.responses >= 3
    assert 0.1 <= found.ttft_s.mean <= found.ttft_s.p99
    assert 0.0095 <= found.itl_s.mean <= found.itl_s.p99
    assert found.per_s <= 3 / (0.1 + 19 * 0.0095)


async def test_a_refusal_ends_the_measurement() -> None:
    """Responses that did not come would flatter the others."""
    async with rig(timed(ttft_ms=0, itl_ms=0)) as front:
        with pytest.raises(MeasurementFailed, match="401: "):
            await profile.point(job(), target(front.url, "wrong"), clients=1, words=5)


async def test_a_client_that_is_too_slow_measures_nothing() -> None:
    """Here its process is said to have had a CPU for itself all the time."""
    async with rig(timed(ttft_ms=0, itl_ms=0)) as front:
        with pytest.raises(MeasurementFailed, match="the client itself took 100% of a CPU"):
            await profile.point(
                job(), target(front.url), clients=8, words=5, cpu_s=time.perf_counter
            )


def test_figures_are_those_of_the_responses() -> None:
    """Means and 99th percentiles over responses; one token alone has no time between tokens."""
    found = profile.summarise(
        [
            TimedResponse(0.1, 1.1, 40, 11),
            TimedResponse(0.3, 0.8, 60, 6),
            TimedResponse(0.2, 0.2, 50, 1),
        ],
        2,
        4.0,
    )

    assert (found.running, found.prompt, found.response, found.per_s) == (2, 50, 6, 0.75)
    assert found.ttft_s.mean == pytest.approx(0.2)
    assert found.ttft_s.p99 == 0.3
    assert found.itl_s.mean == found.itl_s.p99 == pytest.approx(0.1)


def test_a_component_is_measured_alone() -> None:
    """As it is in the blend, but one replica, which takes all that there are at once."""
    found = BlendConfig.model_validate(profile.alone(load("demo"), "flint", 32))
    (flint,), original = found.components, load("demo").components[1]

    assert isinstance(flint, VllmComponent)
    assert isinstance(original, VllmComponent)
    assert flint.replicas.max == found.router.replicas.max == 1
    assert flint.replicas.max_ongoing_requests == 32
    assert flint.engine == original.engine
    assert not found.journal.enabled

    with pytest.raises(ConfigError, match="There is no component 'nobody'; there are ember"):
        profile.alone(load("demo"), "nobody", 1)
