"""Environments for the peers: made once by pip or npm, outside the repository, then kept.

They are in `blended/peers` of the user's cache folder, or in the folder BLENDED_PEERS_DIR.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from loadtests.harness.processes import Unavailable, last_line

_INSTALL_TIMEOUT_S = 900
_MARK = "installed"
_COMPLAINT = re.compile(r"^\s*(fatal|error|npm error)\b|not found$", re.IGNORECASE)


@dataclass(frozen=True)
class PipPackage:
    """A requirement, installed into a virtual environment of its own."""

    requirement: str
    python: str = sys.executable


@dataclass(frozen=True)
class NpmPackages:
    """Dependencies and the versions that overrule those they ask for."""

    dependencies: Mapping[str, str]
    overrides: Mapping[str, str]


def installed(name: str, packages: PipPackage | NpmPackages) -> Path:
    """The folder of an environment, made now unless it is there with these very packages.

    Raises:
        Unavailable: it cannot be installed; a later call tries again.
    """
    folder = _cache() / name
    mark = folder / _MARK
    if mark.is_file() and mark.read_text() == repr(packages):
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    _install(folder, packages)
    mark.write_text(repr(packages))
    return folder


def _cache() -> Path:
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("BLENDED_PEERS_DIR") or base / "blended" / "peers")


def _install(folder: Path, packages: PipPackage | NpmPackages) -> None:
    if isinstance(packages, PipPackage):
        _run(packages.python, "-m", "venv", str(folder))
        pip = (str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check")
        _run(*pip, "install", "--quiet", packages.requirement)
        return
    manifest = {"private": True, "dependencies": dict(packages.dependencies)}
    manifest["overrides"] = dict(packages.overrides)
    (folder / "package.json").write_text(json.dumps(manifest))
    _run("npm", "install", "--no-fund", "--no-audit", "--prefix", str(folder))


def _run(*command: str) -> None:
    try:
        result = subprocess.run(
            command, capture_output=True, text=True, timeout=_INSTALL_TIMEOUT_S, check=False
        )
    except FileNotFoundError as exc:
        raise Unavailable(f"not installed: there is no '{command[0]}' here") from exc
    except subprocess.TimeoutExpired as exc:
        raise Unavailable(f"not installed: {_INSTALL_TIMEOUT_S} s were not enough") from exc
    if result.returncode != 0:
        raise Unavailable(f"not installed: {_cause(result.stderr + result.stdout)}")


def _cause(output: str) -> str:
    """The first line in which git, pip, npm or a shell names an error, else the last one."""
    named = [line.strip() for line in output.splitlines() if _COMPLAINT.search(line)]
    return named[0] if named else last_line(output)
