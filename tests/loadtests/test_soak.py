"""Whether a process grows: on memories whose truth is known, and in the committed soak."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from loadtests.harness.memory import ProcessMemory, named, sample
from loadtests.harness.memory_growth import Trend, trend
from loadtests.harness.targets import CHAT
from loadtests.soak import NotMeasured, complaints, locust, trends
from tests.support import CLIENT_KEY, Rig, blend, rig

RESULT = Path(__file__).parents[2] / "loadtests" / "results" / "soak.json"
TIMES_S = [5.0 * n for n in range(120)]


def walk(rng: np.random.Generator, slope_mib_per_h: float, noise_mib: float) -> list[float]:
    """Samples that are alike their neighbours (AR(1), 0.8), on a straight line."""
    value, found = 0.0, []
    for at_s in TIMES_S:
        value = 0.8 * value + rng.normal(0, noise_mib * 0.6)
        found.append(500 + slope_mib_per_h * at_s / 3600 + value)
    return found


def line(mib: list[float]) -> Trend:
    """The trend of these samples."""
    return trend(TIMES_S, mib, 0, TIMES_S[-1])


def test_a_slope_is_found_with_its_error() -> None:
    """Of 300 memories 95 % of the slopes are within two standard errors or so of the truth: by
    Student's t with 8 degrees of freedom 92 %; 300 of them deviate by 5 points once in 1,000."""
    rng = np.random.default_rng(1)
    found = [line(walk(rng, 100, 1)) for _ in range(300)]
    near = [abs(t.slope_mib_per_h - 100) < 2 * t.standard_error_mib_per_h for t in found]

    assert np.mean([t.slope_mib_per_h for t in found]) == pytest.approx(100, abs=1)
    assert 0.85 < np.mean(near) < 0.97


def test_flat_memory_seldom_grows_and_a_leak_always_does() -> None:
    """Noise of 3 MiB around nothing: fewer than 1 in 100; 60 MiB/h: all of 300."""
    rng = np.random.default_rng(2)
    flat = [line(walk(rng, 0, 3)).grows for _ in range(300)]
    leaks = [line(walk(rng, 60, 0.2)).grows for _ in range(300)]

    assert np.mean(flat) < 0.01
    assert all(leaks)


def test_what_is_certain_but_small_does_not_count() -> None:
    """3 MiB over the run, without any noise."""
    found = line([500 + 3 * at_s / TIMES_S[-1] for at_s in TIMES_S])

    assert found.low_mib_per_h > 0
    assert found.growth_mib == pytest.approx(3, rel=0.01)
    assert not found.grows


def test_memory_that_never_changes_is_flat() -> None:
    """And certain: its slope has no error."""
    found = line([500.0] * len(TIMES_S))

    assert (found.slope_mib_per_h, found.standard_error_mib_per_h) == (0, 0)
    assert not found.grows


def test_processes_that_were_there_all_the_time_are_judged() -> None:
    """After the warm-up, the fastest growing first; with too few samples nothing is said."""
    seconds = TIMES_S[-1]
    warm = [min(at_s, 0.15 * seconds) for at_s in TIMES_S]
    memories = [
        ProcessMemory("warms up", TIMES_S, warm, warm),
        ProcessMemory("leaks", TIMES_S, TIMES_S, TIMES_S),
        ProcessMemory("came late", TIMES_S[-20:], TIMES_S[-20:], TIMES_S[-20:]),
    ]
    found = trends(memories, 0.2 * seconds, seconds)

    assert [(memory.name, t.grows) for memory, t in found] == [
        ("leaks", True),
        ("warms up", False),
    ]
    with pytest.raises(NotMeasured, match="too few samples"):
        trends([ProcessMemory("short", TIMES_S[:5], TIMES_S[:5], TIMES_S[:5])], 0, seconds)


def test_a_soak_fails_by_what_failed_and_what_grew() -> None:
    """A sentence for each."""
    found = trends([ProcessMemory("leaks", TIMES_S, TIMES_S, TIMES_S)], 0, TIMES_S[-1])
    responses = {"responses": 9, "failed": 2, "unfinished": 0}
    soaked = {"all": responses, "missed": ["Missed."], "errors": {"503: full": 2}}

    told = list(complaints(soaked, found))

    assert told[:3] == ["2 of 9 responses are failed.", "2 times: 503: full", "Missed."]
    assert told[3].startswith("leaks grew by ")
    fine = {"all": {"failed": 0, "unfinished": 0}, "missed": [], "errors": {}}
    assert list(complaints(fine, [])) == []


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (["ray::ServeReplica:blended:Router", ""], "ray::ServeReplica:blended:Router"),
        (["VLLM::Worker"], "VLLM::Worker"),
        (["ray-dashboard-JobHead-0 (python -B -c x)"], "ray-dashboard-JobHead-0"),
        (["/bin/python", "-u", "/lib/ray/autoscaler/monitor.py", "--x=y"], "monitor.py"),
        (["python", "-m", "ray.util.client.server", "--port=1"], "ray.util.client.server"),
        (
            ["python", "-c", "from multiprocessing.resource_tracker import main"],
            "multiprocessing.resource_tracker",
        ),
        (["/usr/lib/ray/raylet", "--node=1"], "raylet"),
    ],
)
def test_processes_are_named_by_what_they_do(command: list[str], name: str) -> None:
    """Never by an interpreter."""
    assert named(command) == name


def test_memory_is_that_of_every_process() -> None:
    """What each has for itself, and all together; one that has ended is left out."""
    ended = psutil.Popen([sys.executable, "-c", ""])
    ended.wait()
    found = dict[Any, ProcessMemory]()
    for at_s in (0.0, 5.0):
        sample([psutil.Process(), ended], at_s, found)

    total, own = found.values()
    assert total.anonymous_mib == own.anonymous_mib
    assert all(0 < mib <= rss for mib, rss in zip(own.anonymous_mib, own.rss_mib, strict=True))
    assert own.times_s == [0.0, 5.0]


async def test_a_run_of_locust_is_watched_to_its_end(tmp_path: Path) -> None:
    """Its figures are those of its last line."""
    moments = list[float]()
    async with rig(blend("a", "b")) as front:
        options = ("--rate=5", "--run-time=2s", "--client-lag-ms=60000")
        found = await asyncio.to_thread(
            locust, target(front), tmp_path / "log", *options, watch=moments.append, every_s=0.5
        )

    assert found["all"]["responses"] == len(front.records) > 0
    assert moments[0] < 1 < moments[-1]


async def test_a_run_that_says_nothing_of_the_blend_is_no_measurement(tmp_path: Path) -> None:
    """A client that was the bottleneck, or that could not begin."""
    async with rig(blend("a", "b")) as front:
        for options, sentence in (
            (("--rate=5", "--run-time=3s", "--client-cpu=0"), "it was the bottleneck"),
            (("--shape=ramp",), "give --run-time"),
        ):
            with pytest.raises(NotMeasured, match=sentence):
                await asyncio.to_thread(locust, target(front), tmp_path / "log", *options)


def target(front: Rig) -> dict[str, Any]:
    """A router, as a blend that was brought up is described."""
    headers = {"authorization": f"Bearer {CLIENT_KEY}"}
    return {"url": front.url + CHAT, "headers": headers}


def test_the_committed_soak_lost_nothing_and_grew_nowhere() -> None:
    """Ten minutes at 70 % of a knee that was bracketed: judged again from all of its samples."""
    result = json.loads(RESULT.read_text())
    soaked, knee = result["soak"], result["knee_search"]["knee"]
    memories = [
        ProcessMemory(found["process"], found["times_s"], found["anonymous_mib"], found["rss_mib"])
        for found in result["processes"]
    ]
    until_s = soaked["load"]["seconds"]

    assert knee["is_bracketed"]
    assert until_s == 720
    assert soaked["parts"][-1]["responses_per_s"] == pytest.approx(
        0.7 * knee["responses_per_s"], rel=0.1
    )
    assert soaked["all"]["responses"] > 10_000
    assert list(complaints(soaked, trends(memories, until_s - 600, until_s))) == []
    assert {"ray::ServeController", "haproxy", "ray::ServeReplica:blended:Router"} <= {
        memory.name for memory in memories
    }
