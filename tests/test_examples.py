"""The examples in docs/examples: files that are read, programs that run against a router."""

import asyncio
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from blended.cli.main import app
from blended.config import loading
from tests.debian import program
from tests.journal.journals import journal
from tests.support import CLIENT_KEY, blend, rig

FOLDER = Path(__file__).parents[1] / "docs" / "examples"


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_blend_of_the_examples_is_one(path: Path) -> None:
    """It is read without a mistake, and begins by saying what it is."""
    assert loading.load(str(path)).components
    assert path.read_text().startswith("# ")


def test_the_index_names_every_example() -> None:
    """Each file has its row, and no row is left of one that went."""
    rows = re.findall(r"^\| \[([^]]+)\]", (FOLDER / "README.md").read_text(), re.MULTILINE)

    assert sorted(rows) == sorted(p.name for p in FOLDER.iterdir() if p.name != "README.md")


SERVICE = (FOLDER / "blended.service").read_text()


def test_the_service_runs_a_command_that_there_is() -> None:
    """Its options are those of `blended up`; it is started again when that fails."""
    [words] = re.findall(r"^ExecStart=/\S+/bin/blended (.*)$", SERVICE, re.MULTILINE)
    command, blend_file, *options = words.split()
    help_text = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"}).stdout

    assert command == "up"
    assert blend_file == "/etc/blended/blend.yaml"
    assert all(option in help_text for option in options if option.startswith("-"))
    assert "--detach" not in options
    assert "Restart=on-failure" in SERVICE.splitlines()


def test_systemd_takes_the_service(tmp_path: Path) -> None:
    """Every setting is known to it, and the service is not wide open."""
    analyze = program("systemd-analyze", "systemd")
    path = tmp_path / "blended.service"
    path.write_text(re.sub("ExecStart=/\\S+", f"ExecStart={sys.executable}", SERVICE))
    verified, rated = (
        subprocess.run([analyze, *a, str(path)], capture_output=True, text=True)
        for a in (("verify",), ("security", "--offline=true", "--threshold=40"))
    )

    assert (verified.returncode, verified.stderr) == (0, "")
    assert rated.returncode == 0, rated.stdout[-200:]


async def run(folder: Path, *command: str) -> str:
    """Run an example against a router with a journal; returns what it prints."""
    with journal(folder) as opened:
        async with rig(blend("a", "b"), opened) as r:
            env = os.environ | {"BLENDED_URL": r.url, "BLENDED_API_KEY": CLIENT_KEY}
            done = await asyncio.to_thread(
                subprocess.run, [*command, "blend"], env=env, capture_output=True, text=True
            )
    assert done.returncode == 0, done.stdout + done.stderr
    return str(done.stdout)


async def test_the_client_streams_and_gives_feedback(tmp_path: Path) -> None:
    """Two answers in words, and a feedback that is taken."""
    first, second, feedback = (
        await run(tmp_path, sys.executable, str(FOLDER / "client.py"))
    ).splitlines()

    assert "simulated" in first
    assert "simulated" in second
    assert "thumb" in feedback


async def test_the_session_shows_the_api(tmp_path: Path) -> None:
    """Models, a response, a stream, a thumb, the record with it, and an error."""
    program("curl", "curl")
    printed = await run(tmp_path, str(FOLDER / "session.sh"))
    models, response, *stream, feedback, record, error = filter(None, printed.splitlines())

    assert [model["id"] for model in json.loads(models)["data"]] == ["blend", "a", "b"]
    assert json.loads(response)["choices"][0]["message"]["content"]
    assert stream[-1] == "data: [DONE]"
    assert json.loads(feedback)
    assert json.loads(record)["state"] == "finished"
    assert json.loads(error)["error"]["code"] == "model_not_found"
