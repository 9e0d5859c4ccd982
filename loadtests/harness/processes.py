"""Processes: starts them with a log, stops them with all their children, reads their CPU time."""

import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

_STOP_TIMEOUT_S = 20.0
_POLL_S = 0.2

# The role of a process in a blend, by the first of these texts in its command line.
_ROLES = (
    ("ServeReplica:blended:", "router"),
    ("haproxy", "haproxy"),
    ("ServeReplica:component-", "component"),
    ("VLLM::", "component"),
)


class Unavailable(RuntimeError):
    """A target cannot be installed or started; the message is the cause."""


@dataclass(frozen=True)
class Usage:
    """CPU time of one process so far, user and system together."""

    role: str
    seconds: float


def last_line(text: str) -> str:
    """The last line that is not empty, in which programs usually name the cause."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"


@contextmanager
def spawned(
    command: Sequence[str | Path], log: Path, env: Mapping[str, str] | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    """A process in a session of its own, out of reach of Ctrl-C; the end of the context stops it.

    Its children are stopped with it, unless it has ended before. Without `env` it inherits ours.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, env=env, start_new_session=True
        )
    try:
        yield process
    finally:
        stop(process)


def stop(process: "subprocess.Popen[bytes]") -> None:
    """Terminate a process and its children, and kill those that do not end."""
    tree = family(process.pid)
    for member in tree:
        with suppress(psutil.NoSuchProcess):
            member.terminate()
    _, alive = psutil.wait_procs(tree, timeout=_STOP_TIMEOUT_S)
    for member in alive:
        with suppress(psutil.NoSuchProcess):
            member.kill()
    process.wait()


def family(pid: int) -> list[psutil.Process]:
    """A process and all of its descendants; nothing when it has ended."""
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def named(pid: int, start: str) -> list[psutil.Process]:
    """A process and its descendants whose name begins with `start`; any may end meanwhile."""
    found = []
    for process in family(pid):
        with suppress(psutil.NoSuchProcess):
            found += [process] if process.name().startswith(start) else []
    return found


def runs(pid: int) -> bool:
    """Whether a process has not ended; one that its parent has not asked after has."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_until(
    ready: Callable[[], bool], process: "subprocess.Popen[bytes]", log: Path, timeout_s: float
) -> None:
    """Wait for a condition.

    Raises:
        Unavailable: the process ended, or the time is over; with the last line of its log.
    """
    deadline = time.monotonic() + timeout_s
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            raise Unavailable(f"did not start: {last_line(log.read_text(errors='replace'))}")
        time.sleep(_POLL_S)


def role_in_blend(title: str) -> str:
    """The role of a process of a Blended cluster, by its command line."""
    return next((role for text, role in _ROLES if text in title), "rest")


def usage(
    processes: Iterable[psutil.Process], role: Callable[[str], str]
) -> dict[tuple[int, float], Usage]:
    """CPU time by process, each known by its pid and when it was started."""
    found = {}
    for process in processes:
        with suppress(psutil.Error):
            times = process.cpu_times()
            title = " ".join(process.cmdline()) or process.name()
            key = (process.pid, process.create_time())
            found[key] = Usage(role(title), times.user + times.system)
    return found


def spent_ms(
    before: Mapping[tuple[int, float], Usage], after: Mapping[tuple[int, float], Usage]
) -> dict[str, float]:
    """CPU milliseconds by role between two readings; a process that is new counts as a whole."""
    spent: Counter[str] = Counter()
    for key, now in after.items():
        earlier = before[key].seconds if key in before else 0.0
        spent[now.role] += (now.seconds - earlier) * 1e3  # type: ignore[assignment]
    return dict(spent)
