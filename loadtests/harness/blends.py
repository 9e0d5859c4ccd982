"""Blended as a user starts it, in front of the simulated upstream and of a real vLLM engine."""

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

import blended
from blended import demo
from blended.config import VllmComponent, loading
from blended.launch import free_ports
from loadtests.harness.machine import machine
from loadtests.harness.processes import (
    Unavailable,
    family,
    last_line,
    role_in_blend,
    spawned,
    wait_until,
)
from loadtests.harness.targets import (
    CHAT,
    ROOT,
    START_TIMEOUT_S,
    Place,
    Target,
    one_model,
)
from loadtests.studies.router_overhead.peers import WEIGHTS

MODEL = "ember"
_KEY = secrets.token_hex(16)
_UPSTREAM_KEY_ENV = "BENCH_UPSTREAM_KEY"
# All clients may ask in the same millisecond.
_ROOM = {"max_queued_requests": 64}


def start_blended(place: Place, stack: ExitStack) -> list[Target]:
    """Blended in front of the upstream, and in front of simulated components of its own.

    The latter are in the same cluster with weight 0. Requests name them, and take both hops of a
    component on the cluster.
    """
    cluster, version = up(_blend("bench", place), place, stack), package_version()
    local = {"unary": "burst", "paced": "paced", "burst": "burst"}
    return [
        Target("blended", version, models=one_model("bench"), **cluster),
        Target("blended_local", version, models=local, token=" simulated", min_tokens=1, **cluster),
    ]


def start_without_journal(place: Place, stack: ExitStack) -> list[Target]:
    """The same blend, without a journal."""
    blend = _blend("bench-no-journal", place) | {"journal": {"enabled": False}}
    models = one_model("bench-no-journal")
    return [
        Target("blended_no_journal", package_version(), models=models, **up(blend, place, stack))
    ]


def _blend(name: str, place: Place) -> dict[str, Any]:
    simulated = [
        {"id": kind, "kind": "simulated", "simulation": simulation(itl_ms), "replicas": _ROOM}
        for kind, itl_ms in (("paced", 10), ("burst", 0))
    ]
    return {
        "name": name,
        "components": [*_remote(place), *simulated],
        "selection": {"weights": {**WEIGHTS, "paced": 0, "burst": 0}},
        "router": {"replicas": {"min": 1, "max": 1}},
    }


def _remote(place: Place) -> list[dict[str, str]]:
    return [
        {"id": model, "kind": "remote", "base_url": f"{url}/v1", "model": model}
        | {"api_key_env": _UPSTREAM_KEY_ENV}
        for model, url in place.urls.items()
    ]


def simulation(itl_ms: float) -> dict[str, float]:
    """A component whose responses have the maximum length and the upstream's regular timing."""
    return {"ttft_ms": 0, "itl_ms": itl_ms, "tokens": 100_000, "jitter": 0}


def start_engine(place: Place, stack: ExitStack) -> list[Target]:
    """vLLM's own OpenAI server with the demo's first model."""
    engine, port = _engine(), free_ports.port()
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server"]
    command += ["--model", str(demo.model_path(MODEL)), "--served-model-name", MODEL]
    command += ["--host", "127.0.0.1", "--port", str(port), "--disable-uvicorn-access-log"]
    command += ["--max-model-len", str(engine["max_model_len"])]
    for name, value in engine["args"].items():
        flag = f"--{name.replace('_', '-')}"
        command += [flag] if value is True else [flag, str(value)]
    env = {
        **engine["env"],
        "VLLM_API_KEY": _KEY,
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "OMP_NUM_THREADS": "1",
        "TORCHDYNAMO_DISABLE": "1",
        "VLLM_NO_USAGE_STATS": "1",
    }
    log = place.folder / "vllm.log"
    process = stack.enter_context(spawned(command, log, env))
    target = Target(
        name="vllm_bare",
        url=f"http://127.0.0.1:{port}{CHAT}",
        headers={"authorization": f"Bearer {_KEY}"},
        processes=lambda: family(process.pid),
        role=lambda title: "component",
        **_engine_fields(vllm_version()),
    )
    wait_until(target.answers, process, log, START_TIMEOUT_S)
    return [target]


def start_blended_engine(place: Place, stack: ExitStack) -> list[Target]:
    """A blend whose only component is the same model on the same engine."""
    component = {"id": MODEL, "kind": "vllm", "engine": _engine(), "replicas": _ROOM}
    router = {"replicas": {"min": 1, "max": 1}}
    blend = {"name": "bench-vllm", "components": [component], "router": router}
    return [Target("vllm_blended", **_engine_fields(package_version()), **up(blend, place, stack))]


def up(blend: Mapping[str, Any], place: Place, stack: ExitStack) -> dict[str, Any]:
    """`blended up`, until the stack is closed; returns what all targets in it share.

    Raises:
        Unavailable: it did not come up; nothing is left running.
    """
    state = _state(blend, place)
    state.mkdir()
    env = _environ(state)
    stack.callback(_down, state, env)
    arguments = ("--port", str(free_ports.port()), "--detach")
    status, last_word = _blended(state, env, "up", _written(blend, state), *arguments)
    if status != 0:
        raise Unavailable(f"did not start: {last_word}")
    running = json.loads((state / "running.json").read_text())
    key = (state / "api_key").read_text().strip()
    return {
        "url": running["url"] + CHAT,
        "headers": {"authorization": f"Bearer {key}"},
        "processes": lambda: family(running["pid"]),
        "role": role_in_blend,
    }


def apply(blend: Mapping[str, Any], place: Place) -> None:
    """`blended apply` to the running blend of this name, until all of its applications run.

    Raises:
        Unavailable: it could not be changed.
    """
    state = _state(blend, place)
    status, last_word = _blended(state, _environ(state), "apply", _written(blend, state), "--yes")
    if status != 0:
        raise Unavailable(f"was not changed: {last_word}")


def _state(blend: Mapping[str, Any], place: Place) -> Path:
    return place.folder / f"state-{blend['name']}"


def _written(blend: Mapping[str, Any], state: Path) -> str:
    source = state / "blend.yaml"
    source.write_text(yaml.safe_dump(dict(blend)))
    return str(source)


def _environ(state: Path) -> dict[str, str]:
    own = ("BLENDED_", "VLLM_API_KEY", "RAY_AUTH_TOKEN", "RAY_ADDRESS")
    env = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    return env | {"BLENDED_STATE_DIR": str(state), _UPSTREAM_KEY_ENV: "unused", "COLUMNS": "200"}


def _down(state: Path, env: Mapping[str, str]) -> None:
    is_up = (state / "running.json").exists()
    status, last_word = _blended(state, env, "down")
    if is_up and status != 0:
        message = f"{state.name} was not stopped ({last_word}); end its processes by their pids."
        print(message, file=sys.stderr)


def _blended(folder: Path, env: Mapping[str, str], *arguments: str) -> tuple[int, str]:
    """Run the command line; returns its exit status and the last line that it printed."""
    log = folder / f"{arguments[0]}.log"
    program = Path(sys.executable).with_name("blended")
    with spawned([program, *arguments], log, env) as process:
        status = process.wait()
    return status, last_line(log.read_text(errors="replace"))


def package_version() -> str:
    """The package's version and the commit of the working tree."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    try:
        commit = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        commit = "unknown commit"
    return f"{blended.__version__} ({commit})"


def made_by(module: str) -> dict[str, str]:
    """The provenance of a result: the command, the day, the machine and its load, the versions."""
    return {
        "command": " ".join([f"python -m {module}", *sys.argv[1:]]),
        "date": datetime.now(UTC).date().isoformat(),
        "load_average": f"{os.getloadavg()[0]:.1f}",
        **{name: str(value) for name, value in machine().items()},
        "blended": package_version(),
        "ray": metadata.version("ray"),
        "vllm": vllm_version(),
    }


def vllm_version() -> str:
    """vLLM's distribution and version: its CPU build has a name of its own."""
    name = metadata.packages_distributions()["vllm"][0]
    return f"{name} {metadata.version(name)}"


def _engine() -> dict[str, Any]:
    """The first engine of the demo, as its preset has it."""
    component = loading.load("demo").components[0]
    assert isinstance(component, VllmComponent), "the demo's components are engines"
    return component.engine.model_dump(mode="json")


def _engine_fields(version: str) -> dict[str, Any]:
    """The options of all targets with a real engine: it may not end before 64 tokens."""
    return {
        "models": one_model(MODEL),
        "token": '"delta":{"content":',
        "min_tokens": 1,
        "options": {"ignore_eos": True, "temperature": 0},
        "version": version,
    }
