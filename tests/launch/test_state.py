"""What `blended up` keeps for this user."""

import stat
from pathlib import Path

import pytest

from blended.errors import LaunchError
from blended.folders import state_dir
from blended.launch import state
from blended.launch.state import Running

RUNNING = Running("demo", "http://a", "http://b", "http://c", "marker", "/nowhere", 1)


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("BLENDED_API_KEY", "VLLM_API_KEY", "RAY_AUTH_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("BLENDED_STATE_DIR", str(tmp_path / "state"))
    return tmp_path / "state"


def test_keys_are_made_once_and_kept_from_others(own_folder: Path) -> None:
    """Each key is long, stays the same, differs from the others, and only its user can read it."""
    keys = [state.client_key(), state.internal_key(), state.ray_token()]

    assert keys == [state.client_key(), state.internal_key(), state.ray_token()]
    assert len(set(keys)) == 3
    assert all(len(key) >= 32 for key in keys)
    assert stat.S_IMODE(own_folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in own_folder.iterdir()} == {0o600}


def test_a_key_from_the_environment_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that is set is used, and no other is made."""
    monkeypatch.setenv("BLENDED_API_KEY", "mine")

    assert state.client_key() == "mine"
    assert list(state_dir().iterdir()) == []


def test_what_runs_is_remembered_until_it_is_forgotten() -> None:
    """A cluster is found by another process, and not once it is stopped."""
    assert state.read_running() is None
    state.write_running(RUNNING)
    assert state.read_running() == RUNNING

    state.forget_running()
    state.forget_running()
    assert state.read_running() is None


@pytest.mark.parametrize("text", ["", "{", '{"blend": "x"}', "[]"])
def test_a_damaged_file_is_said(text: str) -> None:
    """A file that cannot be read names itself and what to do."""
    (state_dir() / "running.json").write_text(text)

    with pytest.raises(LaunchError, match=r"running\.json' is damaged"):
        state.read_running()
