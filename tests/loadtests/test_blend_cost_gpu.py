"""The GPU script: the same code with tiny shapes on a CPU, and for real where there is a GPU."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

ROOT = Path(__file__).parents[2]
SMALL = ("--rounds", "3", "--turns", "6", "--tokens", "4", "--at-once", "2", "--seed", "1")


def run(*arguments: str) -> tuple[int, dict[str, Any], str]:
    """The script's status, the JSON of its last line, and all that it printed."""
    command = [sys.executable, "-m", "loadtests.studies.blend_cost.gpu", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout.splitlines()[-1]), done.stdout


def test_tiny_shapes_measure_the_price_of_blending_on_a_cpu() -> None:
    """Caches compute exactly what theory says in whole blocks; the output says CPU and tiny."""
    status, found, printed = run("--sizes", "tiny", *SMALL)

    figures = {name: one["value"] for name, one in found["figures"].items()}
    assert found["ran_on"].startswith("CPU, tiny shapes")
    assert "CPU, tiny shapes" in printed
    assert found["claim"]["price_ratio"]["holds"]
    assert figures["price_tokens"] == pytest.approx(figures["price_tokens_in_blocks"])
    assert figures["price_tokens"] > 0
    assert {name: s["responses"] for name, s in found["series"].items()} == {
        "blend": 72,
        "pygmalion": 36,
        "vicuna": 36,
        "pygmalion, 2 caches in rotation": 36,
        "vicuna, 2 caches in rotation": 36,
    }
    assert {s["decode_tokens"] for s in found["series"].values()} == {4}
    assert all(s["engine_s"] > 0 for s in found["series"].values())
    assert set(found["memory_mib"]) == {"pygmalion", "vicuna"}
    assert status == (0 if found["claim"]["cost_ratio"]["holds"] else 1)


def test_it_needs_neither_ray_nor_the_package() -> None:
    """A GPU machine has torch and vLLM, and may have nothing else of this project."""
    program = (
        "import sys, loadtests.studies.blend_cost.gpu\n"
        "print(sorted({'ray', 'blended', 'vllm'} & {m.split('.')[0] for m in sys.modules}))"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "[]"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_the_papers_sizes_are_refused_without_a_gpu() -> None:
    """Nobody waits for 13 billion parameters on a CPU."""
    command = [sys.executable, "-m", "loadtests.studies.blend_cost.gpu"]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)

    assert done.returncode == 2
    assert "There is no GPU here; --sizes tiny" in done.stderr


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU of 80 GB")
def test_the_papers_sizes_run_on_a_gpu() -> None:
    """The larger component takes longer than the smaller ones, and the output names the GPU."""
    _, found, _ = run("--sizes", "paper", "--rounds", "3")

    engine_s = {name: series["engine_s"] for name, series in found["series"].items()}
    assert found["gpu"]["name"] in found["ran_on"]
    assert found["claim"]["price_ratio"]["holds"]
    assert engine_s["vicuna"] > engine_s["pygmalion"] > 0
