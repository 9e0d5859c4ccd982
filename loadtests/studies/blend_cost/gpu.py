"""The price of blending on a GPU, at the paper's sizes: python -m loadtests.studies.blend_cost.gpu

Runs vLLM's offline engine with random weights (nothing is downloaded), one component after the
other, each in a process of its own: two GPT-J of 6B, like Pygmalion and Chai, and a Llama of 13B,
like Vicuna. Conversations, series and claim are those of `python -m loadtests.studies.blend_cost`.
Engine seconds are the wall-clock time of a batch, with one engine at work, over its responses.
Needs torch and vllm, no Ray. `--sizes tiny` runs the same code on a CPU with tiny shapes; its
figures do not apply to a GPU.
"""

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import Any

from rich.console import Console

from loadtests.harness.machine import machine
from loadtests.harness.provenance import command_and_date, vllm_version
from loadtests.studies.blend_cost import report
from loadtests.studies.blend_cost.claim import NotEnough, Setup
from loadtests.studies.blend_cost.flops import GPT_3
from loadtests.studies.blend_cost.offline_engine import (
    BLOCK,
    ComponentMeasurement,
    OfflineJob,
    joined,
    measure,
)
from loadtests.studies.blend_cost.report import Models
from loadtests.studies.blend_cost.sizes import SIZES


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; the exit status is 1 if the claim is not shown, 2 if nothing could be measured."""
    job, save = _options(arguments)
    torch = import_module("torch")
    if job.sizes != "tiny" and not torch.cuda.is_available():
        print("There is no GPU here; --sizes tiny runs the same code on a CPU.", file=sys.stderr)
        return 2
    load_average = os.getloadavg()[0]
    measured = {component: in_a_process(job, component) for component in job.components}
    rounds = joined([part.rounds for part in measured.values()])
    weights = dict.fromkeys(job.components, 1 / len(job.components))
    models = Models(SIZES[job.sizes].shapes, {"one model of 175B": GPT_3})
    try:
        found = report.result(rounds, Setup(weights, BLOCK, len(weights)), {"these sizes": models})
    except NotEnough as exc:
        print(f"Not measured: {exc}", file=sys.stderr)
        return 2
    about = command_and_date("loadtests.studies.blend_cost.gpu")
    about |= _ran_on(job, torch) | {"load_average": load_average}
    memory = {component: part.memory_mib for component, part in measured.items()}
    document = about | {"memory_mib": memory} | found
    console = Console()
    console.print(about["ran_on"])
    console.print(*report.tables(found), sep="\n")
    print(*report.words(found), sep="\n")
    if save:
        save.write_text(json.dumps(document, indent=1) + "\n")
    print(json.dumps(document))
    return report.status(found)


def in_a_process(job: OfflineJob, component: str) -> ComponentMeasurement:
    """Measure a component in a process whose end frees all that its engine held."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(measure, job, component).result()


def _ran_on(job: OfflineJob, torch: Any) -> dict[str, Any]:
    about = {
        "machine": machine(),
        "versions": {"torch": torch.__version__, "vllm": vllm_version()},
        "sizes": job.sizes,
        "turns": job.turns,
        "response_tokens": job.tokens,
        "seed": job.seed,
        "at_once": job.at_once,
        "weights": "random",
        "engine_seconds": "wall clock of a batch, over its responses",
    }
    if not torch.cuda.is_available():
        return about | {"ran_on": "CPU, tiny shapes: a rehearsal, which tells nothing of a GPU"}
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    driver = subprocess.run(query, capture_output=True, text=True, check=True).stdout.split()[0]
    properties = torch.cuda.get_device_properties(0)
    gpu = {"name": properties.name, "memory_gib": round(properties.total_memory / 2**30, 1)}
    gpu |= {"driver": driver, "cuda": torch.version.cuda}
    return about | {"gpu": gpu, "ran_on": f"{properties.name}, {job.sizes} sizes"}


def _options(arguments: Sequence[str] | None) -> tuple[OfflineJob, Path | None]:
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.studies.blend_cost.gpu", description=__doc__
    )
    add = parser.add_argument
    add("--sizes", choices=SIZES, default="paper")
    add("--rounds", type=int, default=20, help="in each of which every series has its turns")
    add("--turns", type=int, default=5, help="of a conversation")
    add("--at-once", type=int, default=16, help="conversations that share their draws")
    add("--tokens", type=int, default=32, help="of a response")
    add("--seed", type=int, default=1)
    add("--save", type=Path, help="a file that keeps the result")
    found = parser.parse_args(arguments)
    job = OfflineJob(
        found.sizes, found.rounds, found.turns, found.tokens, found.at_once, found.seed
    )
    return job, found.save


if __name__ == "__main__":
    sys.exit(main())
