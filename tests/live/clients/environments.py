"""The clients' environments: each is made once from its pins, and kept in build/clients."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from cluster.locks import ROOT, uv_environment

PINS = Path(__file__).with_name("pins")
KEPT = ROOT / "build" / "clients"


def python(name: str) -> Path:
    """The interpreter of the environment that has the packages of `pins/<name>.lock`."""
    lock, folder = PINS / f"{name}.lock", KEPT / name
    interpreter, uv = folder / "bin" / "python", Path(sys.executable).with_name("uv")

    def install() -> None:
        _run([uv, "venv", "--python", sys.executable, folder])
        # What the lock does not name by its hash is not installed, whichever index offers it.
        wheels = ("--require-hashes", "--only-binary", ":all:")
        every_index = ("--index-strategy", "unsafe-best-match")
        _run([uv, "pip", "install", "--python", interpreter, *wheels, *every_index, "-r", lock])

    _make(folder, lock, install)
    return interpreter


def node() -> tuple[Path, Path]:
    """Node, and the folder whose scripts find the packages of `pins/node`."""
    lock, folder = PINS / "node" / "package-lock.json", KEPT / "node"
    program = python("python").with_name("node")

    def install() -> None:
        shutil.copytree(lock.parent, folder)
        # promptfoo's optional packages are 2 GB, for what no test asks of it.
        options = ("--ignore-scripts", "--omit=optional", "--omit=peer", "--prefix", folder)
        _run([program.with_name("npm"), "ci", *options])

    _make(folder, lock, install)
    return program, folder


def _make(folder: Path, lock: Path, install: Callable[[], None]) -> None:
    """Make an environment, unless the one in the folder was made from the same lock."""
    made_from = folder / "made-from"
    if made_from.is_file() and made_from.read_bytes() == lock.read_bytes():
        return
    shutil.rmtree(folder, ignore_errors=True)
    install()
    made_from.write_bytes(lock.read_bytes())


def _run(command: Sequence[str | Path]) -> None:
    # npm's own script looks for `node` on the path.
    path = f"{Path(command[0]).parent}{os.pathsep}{os.environ['PATH']}"
    environment = uv_environment(os.environ) | {"PATH": path}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        program = Path(command[0]).name
        pytest.fail(f"{program} cannot make the clients' environment: {done.stderr[-2000:]}")
