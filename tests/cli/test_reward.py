"""`blended reward`, from a journal to a model and to what people read."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from blended.cli import reward
from blended.errors import ConfigError, NotEnoughData
from blended.journal.store import Store
from blended.reward.demo_journal import main as simulate
from blended.reward.linear import LinearReward
from blended.reward.transcript import transcript


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What 1,500 simulated users of the demo had drawn again."""
    url = f"sqlite:///{tmp_path_factory.mktemp('reward') / 'journal.db'}"
    simulate(["--journal", url, "--users", "1500"])
    return url


def run(*arguments: str | Path) -> Result:
    runner = CliRunner(env={"COLUMNS": "120"})
    return runner.invoke(reward.app, [*map(str, arguments)], catch_exceptions=False)


def document(*arguments: str | Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(*arguments, "--json").stdout)
    return found


def test_a_model_is_fitted_and_written(journal: str, tmp_path: Path) -> None:
    """It prefers answers without the faults that simulated users have drawn again; seeded."""
    file = tmp_path / "reward.npz"
    done = run("fit", "--journal", journal, "--out", file)

    assert done.exit_code == 0, done.output
    model = LinearReward.load(file)
    assert f"Wrote '{file}', version {model.version}." in done.output.replace("\n    ", " ")
    assert "auc_within_component" in done.output
    assert model.about["users"] > 1_000
    told = [{"role": "user", "content": "My name is Robin."}]
    good, broken = model.scores(
        [transcript(told, t) for t in ("So, Robin. Fine name.", "So, Robin. Fine")]
    )
    assert good > broken


def test_figures_come_as_json(journal: str, tmp_path: Path) -> None:
    """Of the fit, and of the held-out users, whose figures are like those of all."""
    file = tmp_path / "reward.npz"
    fitted = document("fit", "--journal", journal, "--out", file)
    evaluated = document("evaluate", file, "--journal", journal)
    everybody = document("evaluate", file, "--journal", journal, "--everybody")

    assert fitted["written"] == {"file": str(file), "version": evaluated["version"]}
    assert fitted["retries"] > fitted["pairs"] > 1_000
    within, held_out, seen = (found["gates"][0] for found in (fitted, evaluated, everybody))
    assert within["name"] == "auc_within_component"
    assert within["low"] > 0.6
    assert held_out["low"] < within["value"] < held_out["high"]
    assert seen["value"] > within["value"]


def test_a_model_that_a_gate_refuses_is_not_written(tmp_path: Path) -> None:
    """Sixty users are too few for any gate; the end of the output says so, and the status is 1."""
    url, file = f"sqlite:///{tmp_path / 'journal.db'}", tmp_path / "reward.npz"
    simulate(["--journal", url, "--users", "60"])

    done = run("fit", "--journal", url, "--out", file)
    assert done.exit_code == 1
    assert f"'{file}' is not written." in done.output.replace("\n    ", " ")
    assert "refuses" in done.output
    assert not file.exists()
    assert document("fit", "--journal", url, "--out", file)["written"] is None


def test_a_journal_without_texts_is_said(tmp_path: Path) -> None:
    """With what to write into the blend's file."""
    url = f"sqlite:///{tmp_path / 'journal.db'}"
    Store(url).migrate()

    with pytest.raises(NotEnoughData, match="no texts of responses that are a day old"):
        run("fit", "--journal", url, "--out", tmp_path / "reward.npz")


def test_no_journal_is_said(tmp_path: Path) -> None:
    """A wrong address makes none."""
    url = f"sqlite:///{tmp_path / 'nowhere.db'}"

    with pytest.raises(ConfigError, match="There is no journal"):
        run("fit", "--journal", url, "--out", tmp_path / "reward.npz")
    assert not list(tmp_path.iterdir())
