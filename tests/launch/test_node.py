"""A cluster that ends, by somebody or by itself: told apart, cleaned up. Here Ray is a process."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from blended.errors import LaunchError
from blended.launch import node, state, up
from blended.launch.state import Running

Start = Callable[[], Running]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts what is known as a cluster: a process, and another one that outlives it."""
    monkeypatch.setenv("BLENDED_STATE_DIR", str(tmp_path / "state"))
    with ExitStack() as stack:

        def start_one() -> Running:
            marker = os.urandom(8).hex()
            folder = tmp_path / f"cluster-{marker}"
            folder.mkdir()
            (folder / "ray-start.log").write_text("Started.")
            root, _ = (_process(stack, marker) for _ in range(2))
            urls = ("http://127.0.0.1:9",) * 3
            running = Running("friends", *urls, marker, str(folder), root)
            state.write_running(running)
            return running

        yield start_one


def _process(stack: ExitStack, marker: str) -> int:
    command = [sys.executable, "-c", "print(flush=True); import time; time.sleep(600)"]
    environment = os.environ | {node.MARKER_ENV: marker}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)
    stack.callback(process.communicate)
    stack.callback(process.kill)
    assert process.stdout is not None
    assert process.stdout.readline() == b"\n"
    return process.pid


def lose(running: Running) -> None:
    """End the process that Ray ends with its store; others may be left."""
    os.kill(running.pid, signal.SIGKILL)


def waited(running: Running, then: Callable[[], object]) -> str:
    """How a wait for the cluster's end ends, which began before `then`."""
    ends = list[str]()
    waiting = threading.Thread(target=lambda: ends.append(node.wait(running, poll_s=0.01)))
    waiting.start()
    then()
    waiting.join(30)
    return ends[0]


def test_a_cluster_that_ends_by_itself_is_lost(start: Start) -> None:
    """Its first process is gone, whether or not others are left."""
    running = start()
    assert node.is_alive(running)

    assert waited(running, lambda: lose(running)) == "lost"
    assert not node.is_alive(running)


def test_a_cluster_that_is_stopped_is_not_lost(start: Start) -> None:
    """By another process, such as that of `blended down`; nothing is left of it."""
    running = start()

    assert waited(running, lambda: node.stop_node(running)) == "stopped"
    assert state.read_running() is None
    assert not Path(running.temp_dir).exists()


def test_stopping_what_was_lost_removes_what_is_left(start: Start) -> None:
    """The processes that outlived it, its files, and the memory of it."""
    running = start()
    waited(running, lambda: lose(running))

    assert node.stop_node(running) == 1
    assert state.read_running() is None
    assert not Path(running.temp_dir).exists()


def test_stopping_an_earlier_cluster_leaves_the_memory_of_a_later_one(start: Start) -> None:
    """Somebody has stopped it and started another meanwhile."""
    earlier, later = start(), start()
    node.stop_node(earlier)

    assert state.read_running() == later
    assert node.is_alive(later)


def test_a_second_blend_is_refused_and_a_lost_one_cleaned_up(start: Start) -> None:
    """What runs is named; what has ended is in nobody's way, and that it was there is said."""
    running, said = start(), list[str]()
    with pytest.raises(LaunchError, match="'friends' already runs"):
        up.refuse_second(said.append)
    assert said == []

    waited(running, lambda: lose(running))
    up.refuse_second(said.append)
    assert len(said) == 1
    assert "'friends'" in said[0]
    assert not Path(running.temp_dir).exists()
