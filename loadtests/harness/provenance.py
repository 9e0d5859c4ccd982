"""Where a committed result comes from: the command, the day, the machine, the versions."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from loadtests.harness.machine import machine


def made_by(module: str) -> dict[str, str]:
    """How a result came about: the command, the day, the machine and its load, the versions."""
    return {
        **command_and_date(module),
        "load_average": f"{os.getloadavg()[0]:.1f}",
        **{name: str(value) for name, value in machine().items()},
        "blended": package_version(),
        "ray": metadata.version("ray"),
        "vllm": vllm_version(),
    }


def command_and_date(module: str) -> dict[str, str]:
    """How this process was started, by the module that it runs, and on which day."""
    return {
        "command": " ".join([f"python -m {module}", *sys.argv[1:]]),
        "date": datetime.now(UTC).date().isoformat(),
    }


def package_version() -> str:
    """The package's version and the commit of the working tree."""
    import blended  # here, because a script for GPUs names its machine without the package

    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    try:
        commit = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        commit = "unknown commit"
    return f"{blended.__version__} ({commit})"


def vllm_version() -> str:
    """vLLM's distribution and version: its CPU build has a name of its own."""
    name = metadata.packages_distributions()["vllm"][0]
    return f"{name} {metadata.version(name)}"
