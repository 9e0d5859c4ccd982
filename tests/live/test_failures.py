"""A blend that cannot start says which component and why, and leaves nothing behind."""

import shutil
from pathlib import Path

import psutil
import pytest

from blended.demo import model_path
from blended.launch import free_ports
from tests.live.conftest import own_state, run_cli

pytestmark = pytest.mark.ray

HEAD = "name: bad\nrouter: {cpus: 0.1, replicas: {min: 1, max: 1}}\ncomponents:\n"
ENGINE = "max_model_len: 256, cpus: 0.2, env: {HF_HUB_OFFLINE: '1'}"
ARGS = "dtype: float32, enforce_eager: true, kv_cache_memory_bytes:"


def failure(tmp_path: Path, engine: str) -> str:
    """Start a blend with one broken component; returns the command line's message."""
    path = tmp_path / "bad.yaml"
    path.write_text(f"{HEAD}  - {{id: broken, kind: vllm, engine: {{{engine}}}}}\n")
    env = own_state(tmp_path / "state")
    result = run_cli(env, "up", str(path), "--port", str(free_ports.port()), "--timeout", "300")

    state = str(tmp_path / "state")
    left = [p.info for p in psutil.process_iter(["environ", "cmdline"]) if state in str(p.info)]
    assert result.returncode == 1
    assert not left
    assert "Traceback" not in result.stderr
    return result.stderr


def test_a_folder_that_does_not_exist(tmp_path: Path) -> None:
    """The message names component and folder, before anything is started."""
    message = failure(tmp_path, f"model: /nowhere/at/all, {ENGINE}")

    assert "Component 'broken' cannot start" in message
    assert "/nowhere/at/all" in message


def test_weights_that_cannot_be_read(tmp_path: Path) -> None:
    """For a truncated file the message shows the engine's own error, from the engine's log."""
    folder = tmp_path / "model"
    shutil.copytree(model_path("ember"), folder)
    with (folder / "model.safetensors").open("r+b") as file:
        file.truncate(5000)
    message = failure(tmp_path, f"model: {folder}, {ENGINE}, args: {{{ARGS} 67108864}}")

    assert "Component 'broken' cannot start" in message
    assert "SafetensorError" in message


def test_too_little_memory(tmp_path: Path) -> None:
    """The message says that the cache is larger than the machine's memory."""
    args = f"args: {{{ARGS} 900000000000000}}"
    message = failure(tmp_path, f"model: demo:ember, {ENGINE}, {args}")

    assert "Component 'broken' cannot start" in message
    assert "memory" in message


def test_more_gpus_than_there_are(tmp_path: Path) -> None:
    """A blend for GPUs is refused on a machine without them before anything is started."""
    result = run_cli(own_state(tmp_path), "up", "paper")

    assert result.returncode == 1
    assert "needs 3 GPUs" in result.stderr


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    """The message names the port and the option for another one."""
    import socket

    with socket.socket() as other:
        other.bind(("0.0.0.0", 0))
        other.listen()
        port = str(other.getsockname()[1])
        result = run_cli(own_state(tmp_path), "up", "demo", "--port", port)

    assert result.returncode == 1
    assert f"Port {port} cannot be used" in result.stderr
