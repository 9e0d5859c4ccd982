"""The lock files: what pip installs by them, it installs by its hash."""

import json
import re
from pathlib import Path

import pytest

from cluster import locks
from cluster.render import K8S

ROOT = K8S.parent
HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}( \\)?")
INSTALLERS = [ROOT / "Makefile", *sorted((K8S / "images").glob("*.Dockerfile"))]

PYLOCK = """
lock-version = "1.0"
[[packages]]
name = "typing-extensions"
wheels = [{ url = "b", hashes = { sha256 = "bb" } }, { url = "a", hashes = { sha256 = "aa" } }]
[[packages]]
name = "torch"
wheels = [{ url = "c", hashes = { sha256 = "cc" } }]
"""
TEXT = "# One.\n# Two.\ntyping_extensions==4 \\\n    --hash=sha256:old\ntorch==2.13.0+cpu\n"


@pytest.mark.parametrize("lock", locks.LOCKS, ids=lambda lock: lock.path.name)
def test_every_pin_has_its_hashes(lock: locks.Lock) -> None:
    """Nothing but a comment, pins, and at least one SHA-256 below each."""
    text = lock.path.read_text()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    pinned = [line for line in lines if not line.startswith(" ")]

    assert len(pinned) == len(locks.pins(text)) > 0
    assert all(line.endswith(" \\") for line in pinned)
    assert all(HASH.fullmatch(line) for line in lines if line not in pinned)


def test_every_package_of_node_has_its_hash() -> None:
    """And comes from the registry that npm is set to, as no other is named."""
    lock = locks.CLIENTS[0].path.parent / "node" / "package-lock.json"
    packages = json.loads(lock.read_text())["packages"]
    del packages[""]

    assert packages
    assert [name for name, found in packages.items() if "integrity" not in found] == []
    assert [name for name, found in packages.items() if "resolved" in found] == []


def test_what_two_locks_name_has_one_version() -> None:
    """Those that go into one environment."""
    together = [locks.pins(lock.path.read_text()) for lock in locks.OURS]
    versions = {(name, version) for found in together for name, version in found.items()}

    assert len(versions) == len({name for name, _ in versions})


def test_hashes_are_written_below_the_pins() -> None:
    """The comment and the order stay, old hashes go, however a name is spelt."""
    assert locks.written(TEXT, locks.hashes(PYLOCK)) == (
        "# One.\n# Two.\n"
        "typing_extensions==4 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n"
        "torch==2.13.0+cpu \\\n    --hash=sha256:cc\n"
    )


def test_a_pin_without_a_wheel_is_named() -> None:
    """Nothing is written for it."""
    with pytest.raises(locks.LockError, match="No wheel of numpy==1 is known"):
        locks.written("numpy==1\n", locks.hashes(PYLOCK))


@pytest.mark.parametrize("path", INSTALLERS, ids=lambda path: path.name)
def test_what_comes_from_an_index_is_locked(path: Path) -> None:
    """Only what was built here is installed without a hash, and no index is asked to build it."""
    text = re.sub(r"\\\n\s*", "", path.read_text())
    text = text.replace("$(LOCKED)", "pip install --require-hashes")
    text = text.replace("$(PIP)", "pip install --no-deps")
    steps = (part for part in re.split(r"&&|\n|,", text) if " := " not in part)
    used = [part for part in steps if re.search(r"pip (install|wheel) ", part)]

    assert used
    for part in used:
        ours = re.search(r"(\.whl|-e \.\)| \.)\s*$", part)
        assert "--require-hashes" in part or (ours and "--no-deps" in part), part
        assert "-e ." not in part or "--no-build-isolation" in part, part
        assert "pip wheel" not in part or "--no-build-isolation" in part, part
