"""`blended learn`, from a journal to what people read."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from blended.cli import learn
from blended.errors import ConfigError, NotEnoughData
from blended.journal.store import Store
from loadtests.studies.population.__main__ import main as simulate

MIX = "one=.5,two=.25,three=.25"
MINUS = "\N{MINUS SIGN}"


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What 300 simulated users did, half of whom got a blend of three components."""
    url = f"sqlite:///{tmp_path_factory.mktemp('learn') / 'journal.db'}"
    arms = ["--arm", "control", "--arm", "blend"]
    simulate(["--users", "300", "--days", "9", "--seed", "1", "--journal", url, *arms])
    return url


def run(journal: str, *options: str | Path) -> Result:
    arguments = ["report", "--journal", journal, *map(str, options)]
    runner = CliRunner(env={"COLUMNS": "120"})
    return runner.invoke(learn.app, arguments, catch_exceptions=False)


def reported(journal: str, *options: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(run(journal, "--json", *options).stdout)
    return document


def test_a_mix_of_equal_components_gains_nothing(journal: str) -> None:
    """Whatever the reward; the uniform mix is what was drawn. It is seeded."""
    document = reported(journal, "--mix", MIX)

    assert list(document["mixes"]) == ["uniform", "one alone", "three alone", "two alone", MIX]
    for name, mix in document["mixes"].items():
        assert mix["mean_weight"]["low"] <= 1 + 1e-9, name
        assert mix["mean_weight"]["high"] >= 1 - 1e-9, name
        for reward, gain in mix["gain"].items():
            assert gain["low"] <= 1e-9, (name, reward)
            assert gain["high"] >= -1e-9, (name, reward)
            assert mix["doubly_robust"][reward]["value"] == pytest.approx(
                mix["values"][reward]["value"], abs=0.02
            )
    assert document["mixes"][MIX]["shares"] == {"one": 0.5, "two": 0.25, "three": 0.25}
    assert set(document["gradients"]) == {"retention_1", "retention_7", "time_1"}
    assert len(document["surrogates"]) == 12
    for found in document["surrogates"]:
        assert found["low"] <= found["cosine"] <= found["high"], found
    assert document["faults"] == []
    assert document["handoffs"]["kept"]["interaction_p"] > 0.001
    assert document["left_out"]["named"] > 1000


def test_a_report_may_begin_so_long_ago(journal: str) -> None:
    """`24h` and the like, as for an export of the journal."""
    wrong = run(journal, "--since", "24 hours")

    until = ("--until", f"{datetime.now(UTC):%FT%TZ}")
    assert run(journal, "--since", "2000w", *until).output == run(journal, *until).output
    assert wrong.exit_code == 2
    assert "24h" in wrong.output


def test_it_is_read_on_the_terminal(journal: str) -> None:
    """Values, costs, gradients, surrogates, hand-offs, and what it cannot tell."""
    output = run(journal).output

    assert output.strip().startswith("SIMULATED")
    for expected in (
        "Two more turns",
        "engine s per response",
        "per 10 points more",
        "cosine of the directions",
        "by the component before",
        "needs an arm",
    ):
        assert expected in output, expected


def test_engine_seconds_count_the_gpus_of_a_blend(journal: str, tmp_path: Path) -> None:
    """Of one replica of each component: two, a share of one, and none, which counts as one."""
    blend = tmp_path / "blend.yaml"
    engine = "engine: {model: a/b, accelerator: L40S, max_model_len: 1024"
    blend.write_text(
        "name: friends\ncomponents:\n"
        f"  - {{id: one, kind: vllm, {engine}, tensor_parallel_size: 2}}}}\n"
        f"  - {{id: two, kind: vllm, {engine}, gpu_fraction: 0.3}}}}\n"
        "  - {id: three, kind: simulated}\n"
    )
    without, with_gpus = reported(journal), reported(journal, "--blend", str(blend))

    for name, factor in {"one alone": 2, "two alone": 0.3, "three alone": 1}.items():
        seconds = [found["mixes"][name]["engine_s"]["value"] for found in (without, with_gpus)]
        assert seconds[1] == pytest.approx(factor * seconds[0])


def test_the_page_needs_nothing_else(journal: str, tmp_path: Path) -> None:
    """One file with a plot and every mix, without scripts."""
    page = tmp_path / "learn.html"
    run(journal, "--mix", MIX, "--html", page)

    text = page.read_text()
    assert text.count("<svg") == 1
    assert "<script" not in text
    assert MIX in text
    assert "responses for which only one component could be drawn" in text
    assert f"{MINUS}0 " not in text
    assert "SIMULATED: not all users are people" in text
    # As on the terminal, for 10 points more, not for the whole of a component.
    retention = reported(journal)["gradients"]["retention_1"]["toward"]["one"]["value"]
    shown = f"{0.1 * retention:+.3g}".replace("-", MINUS)
    assert f"<td>{shown}<br>(" in text.partition("per 10 points more")[2]


@pytest.mark.parametrize("mix", ["one", "one=x", "one=.5,one=.5", "one=-1,two=2", "one=0", ""])
def test_what_is_no_mix_is_refused(journal: str, mix: str) -> None:
    """The error shows what one looks like."""
    runner = CliRunner(env={"COLUMNS": "300", "NO_COLOR": "1", "TERM": "dumb"})
    result = runner.invoke(learn.app, ["report", "--journal", journal, "--mix", mix])

    assert result.exit_code == 2
    assert "a=.5,b=.3,c=.2" in result.output


def test_a_mix_of_strangers_is_refused(journal: str) -> None:
    """The error names the components that were drawn."""
    with pytest.raises(
        ConfigError, match="which was never drawn; those that were: one, three, two"
    ):
        run(journal, "--mix", "one=.5,four=.5")


def test_a_journal_without_draws_is_said(tmp_path: Path) -> None:
    """There is nothing to learn from."""
    url = f"sqlite:///{tmp_path / 'journal.db'}"
    Store(url).migrate()

    with pytest.raises(NotEnoughData, match="drawn among several components"):
        run(url)


def test_a_page_that_cannot_be_written_is_said(journal: str, tmp_path: Path) -> None:
    """By its name, with the system's reason."""
    with pytest.raises(ConfigError, match=r"page\.html' cannot be written: No such file"):
        run(journal, "--html", tmp_path / "nowhere" / "page.html")
