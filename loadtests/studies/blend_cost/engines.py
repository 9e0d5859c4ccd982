"""The engines of a blend that runs here: the CPU time and the memory of their processes.

An engine is the replica of its component, which serves HTTP and tokenizes text, with the processes
under it: vLLM's core, which runs the model or, with several workers, schedules them. At any moment
either the core or its workers work, and the other side waits in a busy loop. So the CPU time of the
workers, if there are any, is all the busy time of the engine, and the core's is not added to it.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import psutil

from loadtests.harness.processes import Unavailable, family

# vLLM's workers wait for their next step in a busy loop for a second before they sleep. Engines are
# idle when all of them together take less than this share of a CPU.
_RESTING = 0.3
_WORKER = "VLLM::Worker"
_LOOK_S = 0.1
_REST_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class EngineMemory:
    """Of all processes of an engine, in MiB: resident, and of that what no other process shares."""

    rss_mib: int
    uss_mib: int


def engines_of(
    processes: Iterable[psutil.Process], components: Sequence[str]
) -> dict[str, list[psutil.Process]]:
    """The processes of each component's engine, among all of a blend's.

    Raises:
        Unavailable: a component has no engine here, or has several replicas.
    """
    titles = {process: " ".join(process.cmdline()) for process in processes}
    found = {}
    for component in components:
        name = f"component-{component}:LLMServer:"
        replicas = [process for process, title in titles.items() if name in title]
        if len(replicas) != 1:
            raise Unavailable(f"component '{component}' has {len(replicas)} engines here, not one")
        found[component] = family(replicas[0].pid)
    return found


def cpu_s(process: psutil.Process) -> float:
    """CPU time so far of all threads, user and system, from the kernel's clock of the process.

    Counted in ns where /proc counts in ticks of 10 ms; clock_getcpuclockid(3) gives the number.
    """
    return time.clock_gettime((~process.pid << 3) | 2)


def counted(processes: Sequence[psutil.Process]) -> list[psutil.Process]:
    """The processes of an engine whose CPU time counts: all but a core that has workers."""
    return [
        process
        for process in processes
        if not any(child.name().startswith(_WORKER) for child in process.children())
    ]


def spent_s(engines: Mapping[str, Sequence[psutil.Process]]) -> dict[str, float]:
    """CPU time so far, by engine."""
    return {component: sum(map(cpu_s, processes)) for component, processes in engines.items()}


def rest(spent: Callable[[], Mapping[str, float]], sleep: Callable[[float], None]) -> None:
    """Wait until no engine works or waits in a busy loop.

    Raises:
        Unavailable: other requests keep the engines busy.
    """
    before = sum(spent().values())
    for _ in range(round(_REST_TIMEOUT_S / _LOOK_S)):
        sleep(_LOOK_S)
        now = sum(spent().values())
        if now - before < _RESTING * _LOOK_S:
            return
        before = now
    raise Unavailable(f"the engines did not come to rest in {_REST_TIMEOUT_S:.0f} s")


def idle(
    spent: Callable[[], Mapping[str, float]], sleep: Callable[[float], None], seconds: float
) -> dict[str, float]:
    """The share of a CPU that each engine takes while it has no requests."""
    before = spent()
    sleep(seconds)
    return {component: (now - before[component]) / seconds for component, now in spent().items()}


def memory(processes: Sequence[psutil.Process]) -> EngineMemory:
    """The present memory of an engine."""
    found = [process.memory_full_info() for process in processes]
    rss, uss = sum(one.rss for one in found), sum(one.uss for one in found)
    return EngineMemory(round(rss / 2**20), round(uss / 2**20))
