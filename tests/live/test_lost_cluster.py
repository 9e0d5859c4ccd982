"""The store (GCS) of a cluster is killed, and the cluster dies with it: the blend comes back."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from blended.launch import free_ports
from loadtests.harness.processes import named
from tests.live.conftest import START_TIMEOUT_S, own_state, run_cli
from tests.support import HELLO

pytestmark = pytest.mark.ray

BLEND = """
name: lost
router: {cpus: 0.1, replicas: {min: 1, max: 1}}
components: [{id: p, kind: simulated}]
"""


@contextmanager
def serving(folder: Path, port: int, *options: str) -> Iterator["subprocess.Popen[bytes]"]:
    """`blended up` in a process of its own, until it gets the signal to end."""
    (folder / "blend.yaml").write_text(BLEND)
    blended = str(Path(sys.executable).with_name("blended"))
    command = [blended, "up", str(folder / "blend.yaml"), "--port", str(port), *options]
    with (folder / "up.log").open("wb") as log:
        process = subprocess.Popen(
            command, env=own_state(folder), stdout=log, stderr=log, start_new_session=True
        )
        try:
            yield process
        finally:
            process.terminate()
            process.wait(60)
            run_cli(own_state(folder), "down")


def until(condition: Callable[[], bool], process: "subprocess.Popen[bytes]") -> None:
    """Wait for a condition while the process runs."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while not condition():
        assert process.poll() is None, "blended up has ended"
        assert time.monotonic() < deadline
        time.sleep(0.5)


def answers(folder: Path, port: int) -> bool:
    """Whether the blend answers a question."""
    body = {"model": "lost", "messages": HELLO}
    try:
        headers = {"Authorization": f"Bearer {(folder / 'api_key').read_text()}"}
        url = f"http://127.0.0.1:{port}/v1/chat/completions"
        return httpx.post(url, json=body, headers=headers, timeout=10).is_success
    except (OSError, httpx.HTTPError):
        return False


def stores(up: "subprocess.Popen[bytes]") -> list[psutil.Process]:
    """The store of the cluster that a process has started."""
    return named(up.pid, "gcs_server")


def said(folder: Path) -> str:
    """What `blended up` has printed so far."""
    return (folder / "up.log").read_text()


def test_a_blend_whose_store_is_killed_is_started_again(tmp_path: Path) -> None:
    """With --restart it answers again at the same address and key, and leaves nothing behind."""
    port = free_ports.port()
    with serving(tmp_path, port, "--restart") as process:
        until(lambda: answers(tmp_path, port), process)
        healthy = run_cli(own_state(tmp_path), "status")
        [store] = stores(process)
        folder = Path(psutil.Process(store.pid).environ()["RAY_TMPDIR"])
        os.kill(store.pid, signal.SIGKILL)
        until(lambda: "started again in 1 s" in said(tmp_path), process)
        until(lambda: said(tmp_path).count("serves at") == 2, process)
        until(lambda: answers(tmp_path, port), process)
        left_behind = folder.exists()

    assert healthy.returncode == 0, healthy.stderr
    assert "runs and answers" in healthy.stdout
    assert not left_behind
    assert process.returncode == 0
    assert run_cli(own_state(tmp_path), "status").returncode == 1


def test_without_that_the_loss_is_a_failure(tmp_path: Path) -> None:
    """The exit status shows it to a service manager; `down` removes the rest."""
    port = free_ports.port()
    with serving(tmp_path, port) as process:
        until(lambda: answers(tmp_path, port), process)
        [store] = stores(process)
        os.kill(store.pid, signal.SIGKILL)
        status = process.wait(60)
        down = run_cli(own_state(tmp_path), "down")

    assert status == 1
    assert "has ended by itself" in said(tmp_path)
    assert down.returncode == 0, down.stderr
    assert "'lost' had ended by itself" in down.stdout
