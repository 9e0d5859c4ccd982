"""A blend with the profiles of its components in a folder, and plans for it."""

import json
from pathlib import Path
from typing import Any

import pytest

from blended.config.loading import load
from cluster.capacity import plan, profile_files
from cluster.capacity.queueing import (
    Curve,
    Lengths,
    LinearTime,
)
from cluster.manifests import Document

BLEND = """\
# The blend of this test.
name: pair
components:
  - id: small          # one GPU
    kind: vllm
    engine: {model: e/small, accelerator: L40S}
    replicas: &few {min: 1, max: 2}
  - id: large          # two GPUs
    kind: vllm
    engine: {model: e/large, accelerator: H100, tensor_parallel_size: 2}
    replicas: *few
  - {id: far, kind: remote, base_url: "https://api.example.com/v1", model: m}
selection:
  weights: {small: 2, large: 1, far: 1}
"""
LENGTHS = Lengths(200, 100)
LEVEL = ("--prompt", "200", "--response", "100", "--ttft", "0.8", "--itl", "0.06")


def curve(slow: float) -> Curve:
    """What the points of `profile` lie on."""
    return Curve(
        ttft=LinearTime(0.05 * slow, 0.005 * slow, 0.0002 * slow),
        ttft_p99=LinearTime(0.08 * slow, 0.008 * slow, 0.0003 * slow),
        itl=LinearTime(0.01 * slow, 0.0005 * slow),
        itl_p99=LinearTime(0.012 * slow, 0.0006 * slow),
        most=64,
    )


def profile(component: Any, slow: float = 1) -> Document:
    """A profile whose points lie on a curve."""
    found = curve(slow)
    points = [
        {
            "running": running,
            "prompt": prompt,
            "response": 100,
            "responses": 50,
            "ttft_s": {
                "mean": found.ttft.at(running, prompt),
                "p99": found.ttft_p99.at(running, prompt),
            },
            "itl_s": {
                "mean": found.itl.at(running, prompt),
                "p99": found.itl_p99.at(running, prompt),
            },
            "per_s": running / found.response_s(running, Lengths(prompt, 100)),
        }
        for running in (1, 8, 64)
        for prompt in (100.0, 300.0)
    ]
    serves = profile_files.served(component)
    return {"component": component.id, "made_by": {}, "serves": serves, "points": points}


def furnished(folder: Path, blend: str) -> Path:
    """The folder with such a blend in it, and with profiles."""
    (folder / "blend.yaml").write_text(blend)
    small, large, _ = load(str(folder / "blend.yaml")).components
    for component, slow in ((small, 1.0), (large, 2.0)):
        (folder / f"{component.id}.json").write_text(json.dumps(profile(component, slow)))
    return folder


def run(site: Path, *options: str) -> int:
    """The command, on the blend and profiles of a site."""
    return plan.main([str(site / "blend.yaml"), "--profiles", str(site), *LEVEL, *options])


def planned(site: Path, capsys: pytest.CaptureFixture[str], *options: str) -> Document:
    """Its JSON."""
    assert run(site, "--json", *options) == 0
    found: Document = json.loads(capsys.readouterr().out)
    return found
