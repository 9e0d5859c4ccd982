"""`blended models` and `blended status`, as processes of their own."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import pytest

from blended.launch import free_ports
from blended.launch.node import MARKER_ENV
from blended.launch.state import Running
from tests.support import CLIENT_KEY, blend, rig

LONG = "a description that has more words than a narrow terminal has room for in one line"


def run(*arguments: str, state: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """A command of this version, with its own state."""
    return subprocess.run(
        [sys.executable, "-m", "blended", *arguments],
        env=os.environ | {"BLENDED_STATE_DIR": str(state)} | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


async def test_models_are_listed_whole_and_as_json(tmp_path: Path) -> None:
    """In 40 columns every word is there; JSON is what the API says."""
    components = [{"id": n, "kind": "simulated", "description": LONG} for n in ("ada", "bob")]
    async with rig(blend(components=components, api={"reveal_component": True})) as front:
        address = ("models", "--url", front.url)
        key = {"BLENDED_API_KEY": CLIENT_KEY, "COLUMNS": "40"}
        shown = await asyncio.to_thread(run, *address, state=tmp_path, **key)
        found = await asyncio.to_thread(run, *address, "--json", state=tmp_path, **key)

    assert all(word in shown.stdout for word in (*LONG.split(), "ada", "bob", "50.0%"))
    assert "…" not in shown.stdout
    assert [model["id"] for model in json.loads(found.stdout)] == ["blend", "ada", "bob"]


@pytest.mark.parametrize(
    ("starting", "said"),
    [
        (True, "'friends' is still starting: it answers at http://127.0.0.1:"),
        (False, "does not answer; its logs are in"),
    ],
)
def test_a_blend_that_does_not_answer_yet_is_starting(
    starting: bool, said: str, tmp_path: Path
) -> None:
    """Its cluster runs; once it has answered, silence is a fault."""
    url = f"http://127.0.0.1:{free_ports.port()}"
    with cluster("marker") as pid:
        running = Running("friends", url, url, url, "marker", "/nowhere", pid, starting=starting)
        (tmp_path / "running.json").write_text(json.dumps(asdict(running)))
        status = run("status", state=tmp_path)

    assert status.returncode == 1
    assert said in status.stderr


@contextmanager
def cluster(marker: str) -> Iterator[int]:
    """A process that carries a cluster's marker, by its id."""
    code = "import sys; print(flush=True); sys.stdin.read()"
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        env={MARKER_ENV: marker},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdout.readline()
    try:
        yield process.pid
    finally:
        process.stdin.close()
        process.wait(30)
        process.stdout.close()
