"""The command line, as far as it needs no cluster."""

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

BLENDED = str(Path(sys.executable).with_name("blended"))


def run(*arguments: str, state: Path) -> "subprocess.CompletedProcess[str]":
    env = {"BLENDED_STATE_DIR": str(state), "COLUMNS": "200", "PATH": "/usr/bin:/bin"}
    return subprocess.run(
        [BLENDED, *arguments], env=env, capture_output=True, text=True, timeout=120
    )


def test_check_prints_what_will_be_deployed(tmp_path: Path) -> None:
    """Components, parameters, GPUs and memory of a preset."""
    result = run("check", "paper", state=tmp_path)

    assert result.returncode == 0
    for expected in (
        "pygmalion",
        "33.3%",
        "13 B",
        "25.1 B parameters resident",
        "8.37 B",
        "3 to 12 GPUs",
    ):
        assert expected in result.stdout


def test_check_prints_every_mistake(tmp_path: Path) -> None:
    """A bad file gives one line for each mistake, no stack trace, and a failing exit status."""
    path = tmp_path / "bad.yaml"
    path.write_text("name: x\ncomponents: [{id: a, kind: simulated, replcas: {}}]\nseed: [1]\n")
    result = run("check", str(path), state=tmp_path)

    assert result.returncode == 1
    assert "2 mistakes" in result.stderr
    assert "components[0].replcas: unknown key 'replcas'; did you mean 'replicas'?" in result.stderr
    assert "Traceback" not in result.stderr


def test_the_version_is_that_of_the_package(tmp_path: Path) -> None:
    """`blended --version` prints it and nothing else."""
    result = run("--version", state=tmp_path)

    assert (result.returncode, result.stdout.strip()) == (0, version("blended"))


@pytest.mark.parametrize("command", ["down", "status", "models", "chat"])
def test_without_a_blend_the_commands_say_so(command: str, tmp_path: Path) -> None:
    """Nothing runs: a sentence, and a failing exit status."""
    result = run(command, state=tmp_path)

    assert result.returncode == 1
    assert "No blend runs" in result.stderr


def test_a_blend_that_has_ended_by_itself_is_said_and_cleaned_up(tmp_path: Path) -> None:
    """`status` fails with what to do; `down` removes the files and says what it found."""
    folder = tmp_path / "cluster"
    folder.mkdir()
    urls = dict.fromkeys(("url", "dashboard_url", "metrics_url"), "http://127.0.0.1:9")
    running = {**urls, "blend": "friends", "marker": "m", "temp_dir": str(folder), "pid": 2**22}
    (tmp_path / "running.json").write_text(json.dumps(running))
    status = run("status", state=tmp_path)
    down = run("down", state=tmp_path)

    assert status.returncode == 1
    assert "'friends' has ended by itself" in status.stderr
    assert "'blended down' removes what is left" in status.stderr
    assert down.returncode == 0
    assert "'friends' had ended by itself" in down.stdout
    assert not folder.exists()
    assert "No blend runs" in run("status", state=tmp_path).stderr


def test_restarting_goes_with_a_process_that_stays(tmp_path: Path) -> None:
    """Neither detached nor at another address is there anybody to watch."""
    for option in (("--detach",), ("--address", "http://127.0.0.1:9")):
        result = run("up", "demo", "--restart", *option, state=tmp_path)

        assert result.returncode == 1
        assert "--restart" in result.stderr


def test_an_address_where_nobody_answers_is_said(tmp_path: Path) -> None:
    """Neither a wrong API address nor a wrong dashboard gives a stack trace."""
    nobody = "http://127.0.0.1:9"
    for arguments in (("models", "--url", nobody), ("up", "demo", "--address", nobody)):
        result = run(*arguments, state=tmp_path)

        assert result.returncode == 1
        assert nobody in result.stderr
        assert "Traceback" not in result.stderr
