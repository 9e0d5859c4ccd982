"""The lock files' hashes: python -m cluster.locks

A lock file is a list of pins, `name==version`, each by itself on its line. This writes below each
of them the SHA-256 of every wheel that the lock's platform may take, so that pip installs these
and no others, whichever index it has them from. `--resolve` chooses the pins of the GPU image
and of the clients in tests/live/clients anew. uv looks the wheels up, where pip would:
PIP_FIND_LINKS and PIP_EXTRA_INDEX_URL hold for it.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
# The newest C library for which wheels are looked for; those for older ones run there too.
_PLATFORM = "x86_64-manylinux_2_39"
_PIN = re.compile(r"^([\w.-]+)==([^\s\\;]+)", re.MULTILINE)

Hashes = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Lock:
    """A lock file and the Python whose wheels it is for."""

    path: Path
    python: str


# Those of the environment in .venv.
OURS = tuple(Lock(ROOT / f"requirements-{name}.lock", "3.11") for name in ("build", "cpu", "dev"))
GPU = Lock(ROOT / "requirements-gpu.lock", "3.12")
# Each of an environment of its own; a file beside it, with the suffix .in, says what it is for.
CLIENTS = tuple(
    Lock(ROOT / "tests" / "live" / "clients" / "pins" / f"{name}.lock", "3.11")
    for name in ("python", "instructor", "guidellm")
)
LOCKS = (*OURS, GPU, *CLIENTS)


class LockError(Exception):
    """A lock cannot be written; the message is for people."""


def pins(text: str) -> dict[str, str]:
    """The versions that a lock names, by distribution, as they are spelt there."""
    return dict(_PIN.findall(text))


def hashes(pylock: str) -> dict[str, list[str]]:
    """The SHA-256 of each distribution's wheels in a pylock.toml (PEP 751), by normalised name."""
    packages: list[Any] = tomllib.loads(pylock)["packages"]
    return {
        package["name"]: sorted(w["hashes"]["sha256"] for w in package.get("wheels", ()))
        for package in packages
    }


def written(text: str, known: Hashes) -> str:
    """A lock with its own comment and pins, in their order, and the hashes that are known.

    Raises:
        LockError: a pin has no hash.
    """
    comment = [line for line in text.splitlines() if line.startswith("#")]
    entries = list[str]()
    for name, version in pins(text).items():
        found = known.get(re.sub(r"[-_.]+", "-", name).lower())
        if not found:
            raise LockError(f"No wheel of {name}=={version} is known for this platform.")
        options = (f"--hash=sha256:{digest}" for digest in found)
        entries.append(" \\\n    ".join([f"{name}=={version}", *options]))
    return "\n".join([*comment, *entries, ""])


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the hashes of all locks."""
    parser = argparse.ArgumentParser(prog="python -m cluster.locks", description=__doc__)
    parser.add_argument("--resolve", action="store_true", help="choose pins anew")
    options = parser.parse_args(arguments)
    if options.resolve:
        _write_pins(GPU, _for_the_gpu_image())
        for lock in CLIENTS:
            _write_pins(lock, _compile(lock.python, lock.path.with_suffix(".in").read_text()))
    for lock in LOCKS:
        text = lock.path.read_text()
        names = "".join(f"{name}=={version}\n" for name, version in pins(text).items())
        pylock = _compile(lock.python, names, "--no-deps", name="pylock.toml")
        lock.path.write_text(written(text, hashes(pylock)))


def _write_pins(lock: Lock, chosen: str) -> None:
    comment = [line for line in lock.path.read_text().splitlines() if line.startswith("#")]
    lock.path.write_text("\n".join([*comment, *(f"{n}=={v}" for n, v in pins(chosen).items()), ""]))


def _for_the_gpu_image() -> str:
    """Versions that go together with the Ray and vLLM of the image, which it keeps."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    own = [r for r in project["dependencies"] if not r.startswith("ray")]
    everything = "\n".join([*own, *project["optional-dependencies"]["gpu"]])
    together = _compile(GPU.python, everything)
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as constraints:
        constraints.write(together)
        constraints.flush()
        with_these = ("--constraint", constraints.name)
        return _compile(GPU.python, "\n".join(own), *with_these)


def _compile(python: str, requirements: str, *options: str, name: str = "pins.txt") -> str:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / name
        command = [
            *(str(Path(sys.executable).with_name("uv")), "pip", "compile", "-", "--quiet"),
            *("--python-version", python, "--python-platform", _PLATFORM, "--only-binary", ":all:"),
            *("--no-header", "--no-annotate", "--index-strategy", "unsafe-best-match"),
            *("--output-file", str(out), *options),
        ]
        done = subprocess.run(
            command, input=requirements, env=uv_environment(os.environ), text=True, check=False
        )
        if done.returncode:
            raise LockError("uv finds no such wheels; what it said is above.")
        return out.read_text()


def uv_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """An environment for uv, which has other names for where pip looks."""
    places = ("FIND_LINKS", "EXTRA_INDEX_URL", "INDEX_URL")
    known = {f"UV_{p}": environ[f"PIP_{p}"] for p in places if f"PIP_{p}" in environ}
    return {**known, **environ}


if __name__ == "__main__":
    try:
        main()
    except LockError as exc:
        sys.exit(f"error: {exc}")
