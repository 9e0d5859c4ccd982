"""Programs of Debian that tests need and no Python package brings."""

import os
import shutil
import subprocess

import pytest


def program(name: str, package: str) -> str:
    """The path of a program, whose package is installed if this user may do that."""
    if shutil.which(name) is None and os.geteuid() == 0 and shutil.which("apt-get"):
        for command in (["update", "-qq"], ["install", "-qq", "--no-install-recommends", package]):
            environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
            subprocess.run(["apt-get", "-y", *command], env=environment, capture_output=True)
    found = shutil.which(name)
    if found is None:
        pytest.fail(f"{name} is not installed; install Debian's package '{package}'.")
    return found
