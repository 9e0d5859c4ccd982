"""Conversations through the front door and what engines take, on simulated components."""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from blended.config import BlendConfig, SimulatedComponent, Simulation
from blended.config.loading import load
from blended.errors import ConfigError
from loadtests.harness.processes import Unavailable, family, spawned, wait_until
from loadtests.studies.blend_cost import engines
from loadtests.studies.blend_cost.__main__ import setup_of
from loadtests.studies.blend_cost.conversations import (
    ConversationGroup,
    Door,
    Meter,
    UnexpectedResponse,
)
from loadtests.studies.blend_cost.series import BLEND, ResponseCost, Series
from tests.support import CLIENT_KEY, Rig, rig

SECONDS = {"a": 0.25, "b": 0.75}


def blend(tokens: int = 100_000) -> BlendConfig:
    """Two simulated components; responses are as long as they may be, or `tokens` on average."""
    simulation = Simulation(ttft_ms=0, itl_ms=0, tokens=tokens, jitter=0)
    components = (
        SimulatedComponent(kind="simulated", id=name, simulation=simulation) for name in SECONDS
    )
    return BlendConfig.model_validate(
        {"name": "blend", "components": list(components), "api": {"reveal_component": True}}
    )


@asynccontextmanager
async def door(config: BlendConfig, tokens: int = 5) -> AsyncIterator[tuple[Door, Meter, Rig]]:
    """The blend's front door, and a clock by which a response takes as long as SECONDS says."""
    async with rig(config) as front:

        def spent() -> dict[str, float]:
            return {c: one.finished * SECONDS[c] for c, one in front.components.items()}

        headers = {"authorization": f"Bearer {CLIENT_KEY}"}
        with httpx.Client(headers=headers, timeout=30) as http:
            meter = Meter(spent, dict.fromkeys(SECONDS, 0.0), sleep=lambda _: None)
            yield Door(http, f"{front.url}/v1/chat/completions", "blend", tokens), meter, front


async def talk(
    found: tuple[Door, Meter, Rig], series: Series, name: str = "name", turns: int = 12
) -> list[list[ResponseCost]]:
    """Three conversations at once, from a thread of their own, as the servers share this one."""
    opened, meter, _ = found
    group = ConversationGroup(series, name, number=1, size=3)

    def hold() -> None:
        with ThreadPoolExecutor(3) as pool:
            for _ in range(turns):
                group.take_turn(opened, meter, pool)

    await asyncio.to_thread(hold)
    return group.conversations


async def test_engine_seconds_are_those_of_the_engine_that_answers() -> None:
    """Each response has its component's, whichever was drawn; prompts grow by what was said."""
    async with door(blend()) as found:
        mixed, alone = await talk(found, BLEND), await talk(found, Series("b"))

    assert {r.component for r in mixed[0]} == {"a", "b"}
    assert {r.component for r in alone[0]} == {"b"}
    assert len(mixed) == len(alone) == 3
    for conversation in (*mixed, *alone):
        assert [r.turn for r in conversation] == list(range(1, 13))
        assert [r.prompt for r in conversation] == sorted({r.prompt for r in conversation})
        for response in conversation:
            assert response.tokens == 5
            assert response.engine_s == pytest.approx(SECONDS[response.component])


async def test_conversations_of_a_group_draw_alike() -> None:
    """One component answers all of them in a turn; another group's draws are others."""
    async with door(blend()) as found:
        one, same, other = [await talk(found, BLEND, name) for name in ("x", "x", "y")]

    drawn = [[r.component for r in conversation] for conversation in one]
    assert drawn[0] == drawn[1] == drawn[2] == [r.component for r in same[0]]
    assert drawn[0] != [r.component for r in other[0]]


async def test_responses_of_another_length_measure_nothing() -> None:
    """Costs are compared at one length; here responses end by themselves before it."""
    async with door(blend(tokens=2), tokens=200) as found:
        with pytest.raises(UnexpectedResponse, match="it should be 200 after one"):
            await talk(found, Series("a"))


async def test_a_refusal_measures_nothing() -> None:
    """Its cause is told."""
    async with door(blend()) as found:
        with pytest.raises(UnexpectedResponse, match=r"^404: "):
            await talk(found, Series("nobody"))


def test_engines_rest_when_they_burn_little() -> None:
    """Seconds of CPU time in every tenth of a second: two at full speed, then next to none."""
    clock = iter([0.0, 0.1, 0.2, 0.201])
    slept = list[float]()

    engines.rest(lambda: {"a": next(clock)}, slept.append)

    assert slept == [0.1] * 3


def test_engines_that_somebody_else_keeps_busy_are_told() -> None:
    """Waiting has an end."""
    clock = (0.1 * tick for tick in range(10_000))

    with pytest.raises(Unavailable, match="did not come to rest"):
        engines.rest(lambda: {"a": next(clock)}, lambda _: None)


def test_idle_shares_are_seconds_over_seconds() -> None:
    """What an engine takes of a CPU while nobody asks."""
    readings: Iterator[dict[str, float]] = iter([{"a": 1.0, "b": 5.0}, {"a": 1.5, "b": 5.0}])

    assert engines.idle(lambda: next(readings), lambda _: None, 10) == {"a": 0.05, "b": 0.0}


def test_cpu_time_is_the_kernels() -> None:
    """The clock of a process agrees with the one that Python has for its own."""
    before = time.process_time()
    found = engines.cpu_s(psutil.Process())
    after = time.process_time()

    assert before <= found <= after


def test_a_core_that_waits_for_its_worker_is_not_counted(tmp_path: Path) -> None:
    """Time in which the worker works, or waits for the core, would else be counted twice."""
    worker = tmp_path / "VLLM::Worker"
    worker.symlink_to(shutil.which("sleep") or "sleep")
    log = tmp_path / "log"
    with spawned(["sh", "-c", f"{worker} 60 & wait"], log) as process:

        def works() -> bool:
            return any(one.name() == worker.name for one in family(process.pid))

        wait_until(works, process, log, 20)
        both = family(process.pid)

        found = engines.counted(both)

    assert [one.pid for one in found] == [both[1].pid]


def test_a_blend_without_engines_here_has_no_processes_to_measure() -> None:
    """Nothing is taken for an engine that is none."""
    with pytest.raises(Unavailable, match="component 'ember' has 0 engines here"):
        engines.engines_of([psutil.Process()], ["ember"])


def test_only_engines_that_are_drawn_are_measured() -> None:
    """With their probabilities and the size of their caches' blocks."""
    weighted = load("demo").model_dump(mode="json")
    weighted["selection"]["weights"] = {"ember": 3, "flint": 0, "willow": 1}

    found = setup_of(BlendConfig.model_validate(weighted))

    assert (found.weights, found.block, found.caches) == ({"ember": 0.75, "willow": 0.25}, 32, 2)
    with pytest.raises(ConfigError, match="Component 'a' is not an engine on this machine"):
        setup_of(blend())
    with pytest.raises(ConfigError, match="the same block_size"):
        setup_of(load("modern"))
