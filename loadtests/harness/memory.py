"""The memory of processes over time, and what each process is."""

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import psutil

_MIB = 2**20


@dataclass
class ProcessMemory:
    """The samples of one process: seconds since the run began, and MiB.

    Anonymous memory is RSS less what is shared with files or with other processes.
    """

    name: str
    times_s: list[float] = field(default_factory=list)
    anonymous_mib: list[float] = field(default_factory=list)
    rss_mib: list[float] = field(default_factory=list)


def sample(
    processes: Sequence[psutil.Process], at_s: float, into: dict[Any, ProcessMemory]
) -> None:
    """Sample the memory of every process once; a process that has ended is left out."""
    total = into.setdefault("all", ProcessMemory("all together"))
    own = rss = 0.0
    for process in processes:
        with suppress(psutil.Error):
            memory = process.memory_info()
            key = (process.pid, process.create_time())
            if key not in into:
                into[key] = ProcessMemory(_named(process))
            found = into[key]
            anonymous_mib, rss_mib = (memory.rss - memory.shared) / _MIB, memory.rss / _MIB
            _append(found, at_s, anonymous_mib, rss_mib)
            own, rss = own + anonymous_mib, rss + rss_mib
    _append(total, at_s, own, rss)


def named(command: Sequence[str]) -> str:
    """The name of a process, from its command line: its title, script, module or program."""
    title = " ".join(command).strip()
    if title.startswith(("ray::", "VLLM::", "ray-dashboard-")):
        return title.partition(" (")[0]
    scripts = [part for part in command[1:] if part.endswith(".py")]
    modules = [later for part, later in pairwise(command) if part == "-m"]
    parts = re.findall(r"from (multiprocessing\.\w+)", title)
    return (modules or parts or [part.rpartition("/")[2] for part in (*scripts, command[0])])[0]


def _named(process: psutil.Process) -> str:
    """The names of an engine's own processes contain their component."""
    name = named(process.cmdline() or [process.name()])
    if not name.startswith("VLLM::"):
        return name
    titles = (named(parent.cmdline() or [""]) for parent in process.parents())
    replicas = (title for title in titles if title.startswith("ray::ServeReplica:"))
    return next((f"{name} of {title.rpartition(':')[2]}" for title in replicas), name)


def _append(memory: ProcessMemory, at_s: float, anonymous_mib: float, rss_mib: float) -> None:
    memory.times_s.append(at_s)
    memory.anonymous_mib.append(anonymous_mib)
    memory.rss_mib.append(rss_mib)
