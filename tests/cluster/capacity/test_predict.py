"""Predicted profiles: what is asked, what becomes of the answers, and what is refused."""

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from blended.config import BlendConfig
from blended.config.loading import load
from cluster.capacity import plan, predict, profile_files
from cluster.capacity.profile_files import Profile

BLEND = """\
name: pair
components:
  - id: small
    kind: vllm
    engine: {model: e/small, accelerator: L40S, args: {max_num_seqs: 8, dtype: bfloat16}}
  - id: large
    kind: vllm
    engine:
      model: e/large
      accelerator: H100
      tensor_parallel_size: 2
      args: {gpu_memory_utilization: 0.8}
  - id: shared
    kind: vllm
    engine:
      model: e/shared
      accelerator: L40S
      gpu_fraction: 0.3
      args: {enable_auto_tool_choice: true, tool_call_parser: hermes}
  - id: old
    kind: vllm
    engine: {model: e/old, accelerator: A10G}
  - id: quantized
    kind: vllm
    engine: {model: e/quantized, accelerator: L40S, args: {quantization: fp8}}
  - id: exact
    kind: vllm
    engine: {model: e/exact, accelerator: L40S, args: {dtype: float32}}
  - {id: far, kind: remote, base_url: "https://api.example.com/v1", model: m}
"""
SHAPES = profile_files.FOLDER / "shapes"


class Unreachable(Exception):
    """What aiconfigurator raises where a model's config cannot be fetched."""


@dataclass(frozen=True)
class Estimate:
    """What aiconfigurator answers, in its units: milliseconds."""

    batch_size: int
    isl: int
    osl: int
    system_name: str
    kv_cache_warning: str | None
    backend_version: str = "0.0.7"
    per_ops_source: Any = field(
        default_factory=lambda: {"genonly_step": {"gemm": "silicon", "norm": "empirical"}}
    )
    per_ops_data: Any = field(default_factory=lambda: {"genonly_step": {"gemm": 3.0, "norm": 1.0}})

    @property
    def ttft(self) -> float:
        return 50 + 0.1 * self.isl + self.batch_size

    @property
    def tpot(self) -> float:
        return 20 + 0.5 * self.batch_size

    @property
    def seq_per_second(self) -> float:
        return self.batch_size / (self.ttft + (self.osl - 1) * self.tpot) * 1e3


@dataclass
class Planner:
    """Stands in for aiconfigurator: straight lines, a cache that is full beyond `holds`."""

    holds: int = 1000
    error: Exception | None = None
    asked: list[dict[str, Any]] = field(default_factory=list)

    def estimate(self, model_path: str, system_name: str, **options: Any) -> Estimate:
        """Its answer to one question."""
        self.asked.append({"model": model_path, "system": system_name, **options})
        if self.error:
            raise self.error
        running, prompt, response = (options[key] for key in ("batch_size", "isl", "osl"))
        full = "the cache is full" if running > self.holds else None
        return Estimate(running, prompt, response, system_name, full)


def module(name: str, **contents: Any) -> ModuleType:
    """A module with these contents."""
    found = ModuleType(name)
    vars(found).update(contents)
    return found


@pytest.fixture
def planner(monkeypatch: pytest.MonkeyPatch) -> Planner:
    """A stand-in for aiconfigurator, as if it were installed."""
    found = Planner()
    for each in (
        module("aiconfigurator", __version__="7.7"),
        module("aiconfigurator.cli.api", cli_estimate=found.estimate),
        module("aiconfigurator_core.sdk.utils", HuggingFaceDownloadError=Unreachable),
    ):
        monkeypatch.setitem(sys.modules, each.__name__, each)
    return found


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with the blend."""
    (tmp_path / "blend.yaml").write_text(BLEND)
    return tmp_path


def run(site: Path, component: str, *options: str) -> int:
    """The command, for one component of the blend, with a profile in the site."""
    out = str(site / f"{component}.json")
    return predict.main([component, "--blend", str(site / "blend.yaml"), "--out", out, *options])


def predicted(site: Path, component: str) -> Profile:
    """The profile that it wrote, as the plan reads it."""
    blend: BlendConfig = load(str(site / "blend.yaml"))
    return profile_files.load(next(c for c in blend.components if c.id == component), site)


def test_a_profile_says_that_it_is_predicted(
    site: Path, planner: Planner, capsys: pytest.CaptureFixture[str]
) -> None:
    """By whom, for what, of which model, and how much of it was ever measured; no response was."""
    assert run(site, "small") == 0
    found = predicted(site, "small")

    assert found.predicted
    assert {point.responses for point in found.points} == {0}
    assert found.made_by["predicted_by"] == "aiconfigurator 7.7"
    assert found.made_by["predicted_for"] == "vllm 0.0.7 on l40s"
    assert found.made_by["model"] == "e/small"
    assert found.made_by["measured_kernels"].startswith("75%")
    assert "mean" in found.made_by["assumed"]
    assert json.loads(capsys.readouterr().out) == found.model_dump(mode="json")


def test_times_are_those_of_the_answers(site: Path, planner: Planner) -> None:
    """In seconds, at every level with both lengths, and no slower for the slowest hundredth."""
    assert run(site, "small", "--clients", "4,1", "--prompts", "100,300", "--response", "50") == 0
    found = predicted(site, "small")

    assert [(p.running, p.prompt) for p in found.points] == [(1, 100), (1, 300), (4, 100), (4, 300)]
    for p in found.points:
        assert p.response == 50
        assert (
            p.ttft_s.mean == p.ttft_s.p99 == pytest.approx(0.05 + 1e-4 * p.prompt + p.running / 1e3)
        )
        assert p.itl_s.mean == p.itl_s.p99 == pytest.approx(0.02 + 0.5e-3 * p.running)
        assert p.per_s * (p.ttft_s.mean + 49 * p.itl_s.mean) == pytest.approx(p.running)


def test_the_engine_is_asked_about_as_it_is(site: Path, planner: Planner) -> None:
    """Its model, or one that is alike, its GPU, how many of them, and its part of their memory."""
    assert run(site, "large", "--like", "known/model", "--clients", "1,2", "--prompts", "9,99") == 0

    asked = planner.asked[0]
    assert asked["model"] == "known/model"
    assert asked["system"] == "h100_sxm"
    assert asked["backend_name"] == "vllm"
    assert asked["tp_size"] == 2
    assert asked["free_gpu_memory_fraction"] == 0.8
    assert predicted(site, "large").made_by["model"] == "known/model"


def test_a_share_of_a_gpu_is_asked_about(site: Path, planner: Planner) -> None:
    """With the memory that the engine will have; how responses are read changes no time."""
    assert run(site, "shared") == 0
    assert planner.asked[0]["free_gpu_memory_fraction"] == 0.27


def test_levels_end_where_the_engine_does(
    site: Path, planner: Planner, capsys: pytest.CaptureFixture[str]
) -> None:
    """At the most responses that it takes at once, or before its cache is full."""
    assert run(site, "small") == 0
    assert max(p.running for p in predicted(site, "small").points) == 8

    planner.holds = 5
    assert run(site, "small") == 0
    assert max(p.running for p in predicted(site, "small").points) == 4
    assert "8 at once, and more: left out. the cache is full" in capsys.readouterr().err


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("OOM: it does not fit"),
        ValueError("no such architecture"),
        Unreachable("no config"),
    ],
)
def test_what_is_refused_at_once_is_no_profile(
    site: Path, planner: Planner, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    """With the reason, and without a file."""
    planner.error = error

    assert run(site, "small") == 2
    assert f"Component 'small' cannot be predicted: {error}" in capsys.readouterr().err
    assert not (site / "small.json").exists()


@pytest.mark.parametrize(
    ("component", "expected"),
    [
        ("nobody", "no engine 'nobody'; there are small, large, shared, old, quantized, exact"),
        ("far", "no engine 'far'"),
        ("old", "runs on 'A10G', for which aiconfigurator has no times"),
        ("quantized", "engine arguments that cannot be predicted (quantization)"),
        ("exact", "engine arguments that cannot be predicted (dtype)"),
    ],
)
def test_what_is_not_known_is_not_asked(
    site: Path,
    planner: Planner,
    capsys: pytest.CaptureFixture[str],
    component: str,
    expected: str,
) -> None:
    """Where the answer would be one about something else."""
    assert run(site, component) == 2
    assert expected in capsys.readouterr().err
    assert planner.asked == []


def test_without_aiconfigurator_it_is_named(
    site: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is nothing that this package needs."""
    monkeypatch.setitem(sys.modules, "aiconfigurator.cli.api", None)

    assert run(site, "small") == 2
    assert "pip install 'aiconfigurator>=0.12,<0.13'" in capsys.readouterr().err


def test_what_was_measured_stays(
    site: Path, planner: Planner, capsys: pytest.CaptureFixture[str]
) -> None:
    """A prediction replaces a prediction only."""
    assert run(site, "small") == 0
    assert run(site, "small", "--clients", "1,2") == 0

    path = site / "small.json"
    path.write_text(path.read_text().replace('"responses": 0', '"responses": 9'))
    measured = path.read_text()
    assert not predicted(site, "small").predicted
    assert run(site, "small") == 2
    assert "was measured, which is better than a prediction" in capsys.readouterr().err
    assert path.read_text() == measured


def test_the_modern_preset_can_be_planned(capsys: pytest.CaptureFixture[str]) -> None:
    """The profiles in cluster/capacity/profiles are those of its components, and predicted."""
    level = ("--prompt", "500", "--response", "250", "--ttft", "1", "--itl", "0.06")

    assert all(
        profile_files.load(c, profile_files.FOLDER).predicted for c in load("modern").components
    )
    assert plan.main(["modern", "--rate", "10", *level, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["components"]
    # Of models of 8, 12 and 12 billion parameters, one replica of the smallest answers the most.
    rates = {name: component["capacity"][1] for name, component in found.items()}
    assert rates["qwen"] > max(rates["mistral"], rates["gemma"])


@pytest.mark.parametrize(
    ("component", "shape", "embeddings"),
    [("mistral", "mistral-nemo-12b", 2), ("gemma", "gemma-3-12b", 1)],
)
def test_shapes_are_as_large_as_the_models(component: str, shape: str, embeddings: int) -> None:
    """Within 4 %, as Gemma's images, which are not served, are counted in its parameters."""
    at = json.loads((SHAPES / shape / "config.json").read_text())
    hidden, heads = at["hidden_size"], at["num_attention_heads"] + at["num_key_value_heads"]
    layer = hidden * (2 * heads * at["head_dim"] + 3 * at["intermediate_size"])
    parameters = at["num_hidden_layers"] * layer + embeddings * hidden * at["vocab_size"]
    expected = next(c.parameters for c in load("modern").components if c.id == component)

    assert parameters == pytest.approx(expected, rel=0.04)


def test_the_real_one_knows_what_memory_allows(tmp_path: Path) -> None:
    """No token comes before 16.4 GB of weights are read at 864 GB/s; more load takes longer."""
    pytest.importorskip("aiconfigurator", reason="aiconfigurator is not installed")
    out = tmp_path / "qwen.json"
    options = ["--clients", "1,32", "--out", str(out)]

    assert predict.main(["qwen", "--blend", "modern", *options]) == 0
    alone, alone_long, many, many_long = Profile.model_validate_json(out.read_text()).points
    assert 16.4e9 / 864e9 < alone.itl_s.mean < 0.05
    assert alone.itl_s.mean < many.itl_s.mean < many_long.itl_s.mean
    assert alone.ttft_s.mean < alone_long.ttft_s.mean < many_long.ttft_s.mean
    assert many.per_s > 10 * alone.per_s
