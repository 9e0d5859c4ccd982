"""A real vLLM engine as a target: bare, and as the only component of a blend."""

import secrets
import sys
from contextlib import ExitStack
from typing import Any

from blended import demo
from blended.config import VllmComponent, loading
from blended.launch import free_ports
from loadtests.harness.blended_targets import ROOM
from loadtests.harness.processes import family, spawned, wait_until
from loadtests.harness.provenance import package_version, vllm_version
from loadtests.harness.start import up
from loadtests.harness.targets import CHAT, START_TIMEOUT_S, Place, Target, one_model

MODEL = "ember"
_KEY = secrets.token_hex(16)


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
    component = {"id": MODEL, "kind": "vllm", "engine": _engine(), "replicas": ROOM}
    router = {"replicas": {"min": 1, "max": 1}}
    blend = {"name": "bench-vllm", "components": [component], "router": router}
    return [Target("vllm_blended", **_engine_fields(package_version()), **up(blend, place, stack))]


def _engine() -> dict[str, Any]:
    """The first engine of the demo, as its preset has it."""
    component = loading.load("demo").components[0]
    assert isinstance(component, VllmComponent), "the demo's components are engines"
    return component.engine.model_dump(mode="json")


def _engine_fields(version: str) -> dict[str, Any]:
    """What the targets with a real engine share: it is told not to end before 64 tokens."""
    return {
        "models": one_model(MODEL),
        "token": '"delta":{"content":',
        "min_tokens": 1,
        "options": {"ignore_eos": True, "temperature": 0},
        "version": version,
    }
