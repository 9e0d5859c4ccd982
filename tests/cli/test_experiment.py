"""`blended experiment`, from a file or a journal to what people read."""

import json
import math
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from blended.cli import experiment
from blended.config.loading import load
from blended.errors import ConfigError, NotEnoughData
from blended.experiments.assignment import assign
from blended.experiments.power import retention_variance, users_needed
from blended.journal.identity import SECRET_ENV, Identity
from loadtests.studies.population.__main__ import main as simulate

BLEND = """
name: friends
components: [{id: ada, kind: simulated}, {id: bob, kind: simulated}]
holdout: 0.1
experiments:
  - name: try
    start: 2026-12-01
    end: 2026-12-31
    users: [0, 0.5]
    control: ada
    arms: [{id: ada, weights: {ada: 1}}, {id: both, share: 3}]
"""


@pytest.fixture
def blend(tmp_path: Path) -> Path:
    """A blend with an experiment."""
    path = tmp_path / "blend.yaml"
    path.write_text(BLEND)
    return path


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What 1,500 simulated users did, whose blend keeps a half more of them."""
    url = f"sqlite:///{tmp_path_factory.mktemp('population') / 'journal.db'}"
    arms = ["--arm", "control", "--arm", "blend:retention=1.5,engagement=1.3"]
    simulate(["--users", "1500", "--days", "15", "--seed", "3", "--journal", url, *arms])
    return url


def run(*arguments: str | Path) -> Result:
    return CliRunner(env={"COLUMNS": "200"}).invoke(
        experiment.app, list(map(str, arguments)), catch_exceptions=False
    )


def report(journal: str, *options: str | Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(
        run("report", "population", "--journal", journal, "--json", *options).stdout
    )
    return document


def test_a_preview_shows_who_gets_what(blend: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shares, distributions, made-up users, and the arms of real ones; nothing is written."""
    monkeypatch.setenv(SECRET_ENV, "secret")
    result = run("preview", blend, "zoe", "tom", "--at", "2026-12-05")
    [trial] = load(str(blend)).experiments

    assert result.exit_code == 0
    assert "25.0%" in result.output
    assert "ada 50.0%, bob 50.0%" in result.output
    for user in ("zoe", "tom"):
        [line] = [line for line in result.output.splitlines() if f"│ {user} " in line]
        found = assign([trial], 0.1, Identity("secret").user(user), trial.start.timestamp())
        assert (found.arm if found else "│ -") in line


@pytest.mark.parametrize(
    ("at", "said"),
    [
        ("2026-11-30", "'try' enrols nobody at 2026-11-30 00:00 UTC: it begins on 2026-12-01"),
        ("2026-12-31", "'try' enrols nobody at 2026-12-31 00:00 UTC: it ended on 2026-12-31"),
        ("2026-12-05", "No experiment enrols the 10.0% of all users in the holdout."),
    ],
)
def test_a_preview_says_why_nobody_is_enrolled(blend: Path, at: str, said: str) -> None:
    """Before the start, after the end, and who is never."""
    assert said in run("preview", blend, "--at", at).output


def test_a_preview_says_why_a_user_is_in_no_arm(
    blend: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of thirty users some are held out, some in another slice, and the others have no reason."""
    monkeypatch.setenv(SECRET_ENV, "secret")
    users = [f"user-{i}" for i in range(30)]
    found = json.loads(run("preview", blend, *users, "--at", "2026-12-05", "--json").output)
    late = json.loads(run("preview", blend, "zoe", "--at", "2027-01-05", "--json").output)

    reasons = {of["reason"]: of["experiment"] for of in found["users"].values()}
    assert reasons == {
        "": "try",
        "in the holdout of 10.0%": "-",
        "'try' takes other users (0% to 50% of layer 'default')": "-",
    }
    assert late["users"]["zoe"]["reason"] == "'try' ended on 2026-12-31 00:00 UTC"
    assert sum(a["made_up_users"] for a in found["experiments"]["try"]) > 4000


def test_a_blend_without_experiments_has_no_preview() -> None:
    """The demo has none."""
    with pytest.raises(ConfigError, match="'demo' has no experiments"):
        run("preview", "demo")


def test_a_plan_counts_users_and_days() -> None:
    """For both measures and both kinds of interval."""
    result = run("plan", "--lift", "0.1", "--retention", "0.1", "--users-per-day", "1000")

    assert result.exit_code == 0
    assert result.output.count("always valid") == 2
    [retention, *_] = [line.split() for line in result.output.splitlines() if "fixed" in line]
    users = users_needed(retention_variance(0.1), 0.1, 0.8)
    assert f"{users:,}" in retention
    assert str(math.ceil(users / 1000) + 31) in retention


def test_a_plan_for_more_than_everybody_is_refused() -> None:
    """A lift of 5 is 500 %, not 5 %."""
    given = ("plan", "--retention", "0.5", "--users-per-day", "1000", "--lift")
    with pytest.raises(ConfigError, match=r"a retention of 300%, which no arm can have"):
        run(*given, "5")

    assert run(*given, "0.05").exit_code == 0


def test_a_report_of_a_journal_that_is_not_there_makes_none(tmp_path: Path) -> None:
    """A wrong address is a mistake, not an empty journal."""
    with pytest.raises(ConfigError, match="There is no journal in"):
        run("report", "population", "--journal", f"sqlite:///{tmp_path / 'no' / 'such.db'}")

    assert list(tmp_path.iterdir()) == []


def test_a_report_finds_the_effects_that_are_there(journal: str) -> None:
    """True lifts of 50 % and 30 % lie in the intervals, and the verdict says so; it is seeded."""
    document = report(journal)

    effects = document["effects"]["blend"]
    assert document["simulated"]
    assert document["withheld"] is False
    assert effects["retention"]["low"] < 0.5 < effects["retention"]["high"]
    assert effects["engagement"]["low"] < 0.3 < effects["engagement"]["high"]
    assert effects["retention"]["corrected_p"] < 0.05
    assert document["arms"]["blend"]["components"]["two"]["probability"] == pytest.approx(1 / 3)
    assert document["decisions"]["blend"]["decision"] == "ship"
    assert "came back more often on days 7 to 14" in document["verdict"][0]
    assert set(document["paper"]["blend"]) == {
        "delta_zeta",
        "delta_beta",
        "delta_alpha",
        "delta_gamma",
    }


def test_a_report_is_read_on_the_terminal(journal: str) -> None:
    """Everything that matters is in the tables, SIMULATED first."""
    result = run("report", "population", "--journal", journal)

    assert result.exit_code == 0
    for expected in ("SIMULATED", "Δζ", "Retention", "Sample ratio mismatch", "Guardrails"):
        assert expected in result.output


def test_a_report_fits_80_columns_with_the_decision_first(journal: str) -> None:
    """After the word SIMULATED; no line is wider, and no table loses a column."""
    runner = CliRunner(env={"COLUMNS": "80"})
    result = runner.invoke(experiment.app, ["report", "population", "--journal", journal])
    lines = result.stdout.splitlines()

    assert lines[1].startswith("SHIP (blend): retention +")
    assert max(map(len, lines)) <= 80
    for column in ("control", "difference, 95 %", "joiners / records by day", "orphaned", "casual"):
        assert column in result.output
    [retention] = [line for line in lines if line.startswith("│ Retention")]
    assert retention.count("%") == 3


def test_a_report_is_whole_in_a_narrow_terminal(journal: str) -> None:
    """What does not fit as a table is one block for each row, as elsewhere."""
    runner = CliRunner(env={"COLUMNS": "60"})
    result = runner.invoke(experiment.app, ["report", "population", "--journal", journal])
    control, _, blend = result.stdout.partition("drawn (configured)")[2].partition("\nblend\n")

    assert "one 100.0% (100.0%)" in control
    assert "two" in blend
    assert "…" not in result.stdout


def test_a_report_before_the_start_says_when_it_begins(journal: str) -> None:
    """Instead of counting users who cannot be there."""
    start = report(journal)["start"]
    before = datetime.fromisoformat(start) - timedelta(days=3)

    with pytest.raises(NotEnoughData, match=f"'population' begins on {start[:10]} 00:00 UTC"):
        report(journal, "--until", before.isoformat())


def test_a_report_until_a_day_looks_no_further(journal: str) -> None:
    """Earlier, the experiment still runs: the intervals are always valid, and reach less far."""
    late = report(journal)
    tenth = datetime.fromisoformat(late["start"]) + timedelta(days=9)
    early = report(journal, "--until", tenth.isoformat())

    assert early["interval"] == "always valid"
    assert late["interval"] == "fixed horizon"
    assert early["days"] < late["days"]


def test_a_report_with_plots_is_one_file(journal: str, tmp_path: Path) -> None:
    """Beside what is printed."""
    page = tmp_path / "report.html"
    run("report", "population", "--journal", journal, "--html", page)

    assert page.read_text().count("<svg") >= 5


def test_an_experiment_that_nobody_knows_is_said(journal: str) -> None:
    """With those that there are."""
    with pytest.raises(ConfigError, match="it knows: population"):
        run("report", "nobody", "--journal", journal)
