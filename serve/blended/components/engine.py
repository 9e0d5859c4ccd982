"""Ray's LLM server and vLLM's engine, in as few processes as possible.

The only module that imports ray.serve.llm and vLLM: in a replica, because the import takes seconds.
The private parts of them that it changes are named only here.
"""

import builtins
import gc
import logging
import os
import stat
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from multiprocessing.context import ForkContext, ForkProcess
from typing import Any

from blended.components import connector_registration  # noqa: F401 - before what it prepares for

# isort: split
from ray import _raylet
from ray.llm._internal.serve.engines.vllm.vllm_engine import VLLMEngine
from ray.serve._private import logging_utils
from ray.serve.llm import LLMConfig
from ray.serve.llm.deployment import LLMServer
from vllm.model_executor.models import registry
from vllm.v1.engine import utils as launching


class Server(LLMServer):
    """Ray's server without its telemetry, which would keep a process whose data nothing reads."""

    async def _start_engine(self) -> None:
        engine: Any = self.engine
        await engine.start()


class CpuEngine(VLLMEngine):
    """vLLM's engine on a CPU, where no initialised state prevents a copy of the process."""

    def _prepare_engine_config(self, *args: Any) -> Any:
        with _replaced(registry, "_run_in_subprocess", lambda inspect: inspect()):
            return super()._prepare_engine_config(*args)

    def _start_async_llm_engine(self, arguments: Any, config: Any, *args: Any) -> Any:
        if config.parallel_config.world_size_across_dp > 1:
            return super()._start_async_llm_engine(arguments, config, *args)
        # Ray and vLLM would start a process for the only worker, to set its number of threads; the
        # environment sets it here.
        config.parallel_config.distributed_executor_backend = "uni"
        # The loaded objects stay for good, so that both processes can share one copy of them.
        gc.collect()
        gc.freeze()
        with _replaced(launching, "get_mp_context", _Context):
            return super()._start_async_llm_engine(arguments, config, *args)


def server(arguments: Mapping[str, Any]) -> Any:
    """The server of one component, from the arguments of Ray's LLMConfig; call `start` next.

    Raises:
        ValueError: Ray or vLLM does not accept the arguments.
    """
    config = LLMConfig(**arguments)
    return Server.sync_init(config, engine_cls=engine_class(config))


def engine_class(config: LLMConfig) -> type[VLLMEngine]:
    """The class of a component's engine: Ray's own unless it runs on a CPU, in one thread.

    A copy of a process would lack the OpenMP threads that the process has started.
    """
    kind = config.accelerator_config.kind if config.accelerator_config else None
    alone = os.environ.get("OMP_NUM_THREADS") == "1"
    return CpuEngine if kind == "cpu" and alone else VLLMEngine


class _Core(ForkProcess):
    """The engine's own process: a copy of the replica instead of a second load of vLLM.

    In Ray's actors vLLM spawns the process, because a copy would keep their connections open after
    their death.
    """

    def run(self) -> None:
        # vLLM's own way to set the title fails in a process whose title Ray has set before.
        _raylet.setproctitle("VLLM::EngineCore")  # type: ignore[attr-defined]
        _let_go_of_connections()
        _speak_for_itself()
        super().run()


class _Context(ForkContext):
    Process = _Core


def _speak_for_itself() -> None:
    # Serve has redirected the replica's output to its log, and joined tracebacks to one line.
    builtins.print = logging_utils.buildin_print
    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
    for output in logging.getLogger("vllm").handlers:
        if isinstance(output, logging.StreamHandler):
            output.setStream(sys.stdout)


def _let_go_of_connections() -> None:
    # Their numbers stay taken, so that no copied object can close another object's file.
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in map(int, os.listdir("/proc/self/fd")):
        with suppress(OSError):
            if stat.S_ISSOCK(os.fstat(number).st_mode):
                os.dup2(nothing, number, inheritable=False)


@contextmanager
def _replaced(module: Any, name: str, other: Any) -> Iterator[None]:
    before = getattr(module, name)
    setattr(module, name, other)
    try:
        yield
    finally:
        setattr(module, name, before)
