"""CPU time by role, and processes that end with their context."""

import sys
from pathlib import Path

import psutil
import pytest

from loadtests.harness.processes import (
    Unavailable,
    Usage,
    family,
    role_in_blend,
    spawned,
    spent_ms,
    usage,
    wait_until,
)

# Starts a child that would outlive it, and tells when it has.
_PARENT = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("started", flush=True)
time.sleep(600)
"""


def test_cpu_time_is_the_difference_by_role() -> None:
    """Processes of one role add up, in milliseconds."""
    before = {(1, 0.0): Usage("router", 1.0), (2, 0.0): Usage("router", 5.0)}
    after = {(1, 0.0): Usage("router", 1.25), (2, 0.0): Usage("router", 5.5)}

    assert spent_ms(before, after) == {"router": pytest.approx(750)}


def test_a_process_that_is_new_counts_from_its_start() -> None:
    """A pid that was used before by another process is a new process."""
    before = {(1, 10.0): Usage("rest", 100.0)}
    after = {(1, 20.0): Usage("rest", 0.5)}

    assert spent_ms(before, after) == {"rest": pytest.approx(500)}


@pytest.mark.parametrize(
    ("title", "role"),
    [
        ("ray::ServeReplica:blended:Router", "router"),
        ("ray::ServeReplica:blended:Router.handle_request_streaming", "router"),
        ("/venv/bin/haproxy -db -f /tmp/haproxy.cfg", "haproxy"),
        ("ray::ServeReplica:component-ember:LLMServer:ember", "component"),
        ("VLLM::EngineCore", "component"),
        ("ray::ServeController", "rest"),
        ("/venv/bin/raylet --raylet_socket_name=x", "rest"),
    ],
)
def test_every_process_of_a_blend_has_a_role(title: str, role: str) -> None:
    """The router's replicas are told from HAProxy, the components and Ray itself."""
    assert role_in_blend(title) == role


def test_usage_reads_a_living_process() -> None:
    """CPU time comes with the role that its command line has, and only grows."""
    me = [psutil.Process()]

    (before,) = usage(me, lambda title: title).values()
    (after,) = usage(me, lambda title: title).values()

    assert before.role == " ".join(me[0].cmdline())
    assert after.seconds >= before.seconds > 0


def test_a_process_ends_with_its_children(tmp_path: Path) -> None:
    """Nothing that was started is left running, whatever happens inside the context."""
    log = tmp_path / "log"
    try:
        with spawned([sys.executable, "-c", _PARENT], log) as process:
            wait_until(lambda: "started" in log.read_text(), process, log, 60)
            tree = family(process.pid)
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass

    assert len(tree) == 2
    assert not any(member.is_running() for member in tree)


def test_a_process_that_ends_early_is_reported_with_its_last_line(tmp_path: Path) -> None:
    """The cause is what the program said last."""
    log = tmp_path / "log"
    command = [sys.executable, "-c", "print('starting'); print('port taken'); print()"]

    with (
        spawned(command, log) as process,
        pytest.raises(Unavailable, match="did not start: port taken"),
    ):
        wait_until(lambda: False, process, log, 60)
