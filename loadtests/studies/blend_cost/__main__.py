"""The cost of a response of a blend: python -m loadtests.studies.blend_cost --blend demo

Starts the blend on this machine, on its real engines, and sends requests through its front door: to
the blend's own name, to each component by its id, and to each component with its caches in
rotation. All these series have the same conversations, of fixed lengths, and take turns in a random
order. One engine works at a time, on `--at-once` responses at once. Engine seconds are its CPU time
from the requests to the responses, less its idle share. Prints tables and, last, one line of JSON.
The exit status is 1 if the claim is not shown: without the price of blending, engine seconds within
3 % of the components', and that price in tokens within 10 % of theory's.
"""

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console

from blended import demo
from blended.config import BlendConfig, VllmComponent
from blended.config.loading import load
from blended.errors import BlendedError, ConfigError
from blended.router.selection import normalise
from loadtests.harness.machine import machine
from loadtests.harness.processes import Unavailable
from loadtests.harness.provenance import command_and_date, package_version, vllm_version
from loadtests.harness.start import up
from loadtests.harness.targets import Place
from loadtests.studies.blend_cost import engines, report
from loadtests.studies.blend_cost.claim import NotEnough, Setup
from loadtests.studies.blend_cost.conversations import (
    ConversationGroup,
    Door,
    Meter,
    UnexpectedResponse,
)
from loadtests.studies.blend_cost.flops import GPT_3, LLAMA_13B, PAPER, shape_of
from loadtests.studies.blend_cost.report import Models
from loadtests.studies.blend_cost.series import Round, gathered, groups_of, in_turns

_TIMEOUT_S = 120.0
# Four times the demo's size: every series of a round is in the caches at once.
_KV_CACHE_BYTES = 2**28


@dataclass(frozen=True)
class BlendMeasurement:
    """The rounds, the load average before each, and by engine its idle share and its memory."""

    rounds: Sequence[Round]
    load_averages: Sequence[float]
    idle: Mapping[str, float]
    memory: Mapping[str, engines.EngineMemory]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; the exit status is 1 if the claim is not shown, 2 if nothing could be measured."""
    job = _options(arguments)
    try:
        blend = load(job.blend)
        setup = setup_of(blend)
        measured = measure(job, blend, list(setup.weights))
        found = report.result(measured.rounds, setup, _models(blend))
    except (BlendedError, Unavailable, UnexpectedResponse, NotEnough) as exc:
        print(f"Not measured: {exc}", file=sys.stderr)
        return 2
    console = Console()
    console.print(*report.tables(found), sep="\n")
    print(*report.words(found), sep="\n")
    document = _setting(job, measured) | found
    if job.save:
        job.save.write_text(json.dumps(document, indent=1) + "\n")
    print(json.dumps(document))
    return report.status(found)


def setup_of(blend: BlendConfig) -> Setup:
    """The components that the blend draws, all engines on this machine, and their block size.

    Raises:
        ConfigError: a component is no engine on this machine, or does not say its block size.
    """
    distribution = normalise(blend.weights).by_component
    drawn = [c for c in blend.components if distribution[c.id] > 0]
    sizes = set[int]()
    for component in drawn:
        if not isinstance(component, VllmComponent):
            raise ConfigError(
                f"Component '{component.id}' is not an engine on this machine; its CPU time cannot "
                "be measured."
            )
        sizes.add(component.engine.args.get("block_size", 0))
    if len(sizes) != 1 or 0 in sizes:
        raise ConfigError(
            "Give all components the same block_size in engine.args, which their caches use."
        )
    return Setup({c.id: distribution[c.id] for c in drawn}, sizes.pop(), len(drawn))


def measure(
    job: argparse.Namespace, blend: BlendConfig, components: Sequence[str]
) -> BlendMeasurement:
    """Start the blend, warm it up, and let all series take turns, in a random order of each round.

    Raises:
        Unavailable: the blend does not start, or its engines do not become idle.
        UnexpectedResponse: a response was not as requested.
    """
    shuffled = random.Random(job.seed)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cost-")))
        target = up(with_room(blend, job.at_once), Place(folder, {}), stack)
        http = httpx.Client(headers=target["headers"], timeout=_TIMEOUT_S)
        door = Door(stack.enter_context(http), target["url"], blend.name, job.tokens)
        pool = stack.enter_context(ThreadPoolExecutor(job.at_once))
        processes = engines.engines_of(target["processes"](), components)
        clocks = {component: engines.counted(found) for component, found in processes.items()}
        spent = partial(engines.spent_s, clocks)

        def a_round(number: int, meter: Meter, turns: int) -> Round:
            groups = [
                ConversationGroup(series, f"{job.seed} {number} {index}", number, job.at_once)
                for index, series in enumerate(groups_of(components))
            ]
            in_turns(groups, turns, shuffled, lambda one, _: one.take_turn(door, meter, pool))
            return gathered(groups)

        a_round(0, Meter(spent, dict.fromkeys(components, 0.0)), turns=2)
        engines.rest(spent, time.sleep)
        meter = Meter(spent, engines.idle(spent, time.sleep, job.idle_s))
        rounds, loads = list[Round](), list[float]()
        for number in range(1, job.rounds + 1):
            loads.append(os.getloadavg()[0])
            rounds.append(a_round(number, meter, job.turns))
            print(f"round {number} of {job.rounds}, load average {loads[-1]:.1f}", file=sys.stderr)
        held = {component: engines.memory(found) for component, found in processes.items()}
    return BlendMeasurement(rounds, loads, meter.idle, held)


def with_room(blend: BlendConfig, at_once: int) -> dict[str, Any]:
    """The blend as data: it names its components, and its engines have room for a whole round.

    The caches hold a whole round, and the replicas queue a group that comes all at once.
    """
    data = blend.model_dump(mode="json", exclude_none=True)
    data["api"] |= {"reveal_component": True, "cache_salt": "user"}
    for component in data["components"]:
        if component["kind"] == "vllm":
            component["engine"]["args"]["kv_cache_memory_bytes"] = _KV_CACHE_BYTES
            component["replicas"]["max_queued_requests"] = at_once
    return data


def _models(blend: BlendConfig) -> dict[str, Models]:
    """The demo's own shapes, and the paper's sizes in their place, with its larger models."""
    found = {}
    named = {c.id: c.engine.model for c in blend.components if isinstance(c, VllmComponent)}
    if all(model.startswith("demo:") for model in named.values()):
        folders = {c: demo.model_path(model[5:]) for c, model in named.items()}
        found["this blend"] = Models({c: shape_of(f) for c, f in folders.items()}, {})
    if len(named) == len(PAPER):
        larger = {"one model of 13B": LLAMA_13B, "one model of 175B": GPT_3}
        found["the paper's sizes at the same lengths"] = Models(PAPER, larger)
    return found


def _setting(job: argparse.Namespace, measured: BlendMeasurement) -> dict[str, Any]:
    loads = sorted(measured.load_averages)
    return {
        **command_and_date("loadtests.studies.blend_cost"),
        "machine": machine(),
        "versions": {
            "blended": package_version(),
            "ray": version("ray"),
            "vllm": vllm_version(),
        },
        "load_average": {"min": loads[0], "median": loads[len(loads) // 2], "max": loads[-1]},
        "seed": job.seed,
        "turns": job.turns,
        "response_tokens": job.tokens,
        "at_once": job.at_once,
        "engine_seconds": "CPU time of replica and worker of the engine that answers",
        "idle_cpu_share": dict(measured.idle),
        "memory": {component: asdict(held) for component, held in measured.memory.items()},
    }


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.studies.blend_cost", description=__doc__
    )
    add = parser.add_argument
    add("--blend", default="demo", help="a preset's name, or a file")
    add("--rounds", type=int, default=7, help="in each of which every series has its turns")
    add("--turns", type=int, default=5, help="of a conversation")
    add("--at-once", type=int, default=16, help="conversations that share their draws")
    add("--tokens", type=int, default=32, help="of a response")
    add("--idle-s", type=float, default=20, help="of idleness, measured before")
    add("--seed", type=int, default=1)
    add("--save", type=Path, help="a file that keeps the result")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
