"""What is private of Ray and vLLM and changed by an engine's replica, without starting one."""

import socket
import subprocess
import sys
import time
from types import SimpleNamespace
from typing import Any

import pytest
import ray
from ray.llm._internal.serve.engines.vllm.vllm_engine import VLLMEngine
from ray.serve import Application
from ray.serve._private import logging_utils
from ray.serve.llm import LLMConfig
from ray.serve.llm.deployment import LLMServer
from vllm.model_executor.models import registry
from vllm.v1.engine import utils as launching

from blended.components import engine as replica
from blended.components.local import llm_config
from blended.components.placement import replica_options
from blended.config import Engine


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (LLMServer, "_start_engine"),
        (VLLMEngine, "_prepare_engine_config"),
        (VLLMEngine, "_start_async_llm_engine"),
        (registry, "_run_in_subprocess"),
        (launching, "get_mp_context"),
        (Application, "_with_ingress_request_router"),
        (ray._raylet, "setproctitle"),
        (logging_utils, "buildin_print"),
    ],
)
def test_what_is_changed_is_there(owner: Any, name: str) -> None:
    """Another release of Ray or vLLM without one of these would go its own way in silence."""
    assert callable(getattr(owner, name))


@pytest.mark.parametrize(
    "engine",
    [
        Engine(model="org/model", cpus=0.2),
        Engine(model="org/model", accelerator="H100", tensor_parallel_size=2, replica_group="big"),
        Engine(model="org/model", accelerator="H100", gpu_fraction=0.3, replica_group="card"),
    ],
)
def test_a_replica_takes_what_rays_own_builder_takes(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bundles, strategy and environment of a deployment are those that Ray derives."""
    monkeypatch.setattr(ray, "get_runtime_context", lambda: SimpleNamespace(runtime_env={}))
    arguments = llm_config("a", engine)
    theirs = LLMServer.get_deployment_options(LLMConfig(**arguments))

    hook = theirs["ray_actor_options"]["runtime_env"].pop("worker_process_setup_hook")
    assert hook.endswith("_worker_process_setup_hook")  # loads vLLM early, and does nothing
    assert theirs.pop("ray_actor_options") == {"runtime_env": arguments["runtime_env"]}
    bundles = theirs["placement_group_bundles"]
    theirs["placement_group_bundles"] = [{k: v for k, v in b.items() if v} for b in bundles]
    assert theirs == arguments["deployment_config"] | replica_options(engine)


def test_a_copy_of_the_replica_keeps_no_connection_open() -> None:
    """A peer sees that the replica closed a connection, although its engine's process lives."""
    ours, peer = socket.socketpair()
    peer.settimeout(10)
    core = replica._Context().Process(target=time.sleep, args=(60,))
    core.start()
    try:
        ours.close()
        assert peer.recv(1) == b""
        assert core.is_alive()
    finally:
        core.kill()
        core.join()
        peer.close()


@pytest.mark.parametrize(
    ("accelerator", "threads", "expected"),
    [
        ("cpu", "1", replica.CpuEngine),
        ("cpu", "8", VLLMEngine),
        ("H100", "1", VLLMEngine),
    ],
)
def test_only_engines_of_one_thread_on_a_cpu_are_changed(
    accelerator: str, threads: str, expected: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any other engine is Ray's own."""
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    config = LLMConfig(**llm_config("a", Engine(model="m", accelerator=accelerator)))

    assert replica.engine_class(config) is expected


def test_replicas_that_load_at_one_moment_register_in_each_others_way() -> None:
    """Ray's connectors: each is not there when asked for, and there when it is to be registered."""
    program = """
from itertools import cycle
from ray.llm._internal.serve.utils.registry import ComponentRegistry
there = cycle([False, True])
ComponentRegistry.contains = lambda registry, name: next(there)
import blended.components.connector_registration
from ray.llm._internal.serve.engines.vllm.kv_transfer import factory
print(len(factory.BUILTIN_BACKENDS))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert int(done.stdout.splitlines()[-1]) > 1
