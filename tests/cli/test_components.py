"""`blended experiment components`, from a journal to what people read."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from blended.cli import experiment
from blended.errors import ConfigError
from loadtests.studies.population.__main__ import main as simulate


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What 200 simulated users did, half of whom got a blend of three components."""
    url = f"sqlite:///{tmp_path_factory.mktemp('components') / 'journal.db'}"
    arms = ["--arm", "control", "--arm", "blend"]
    simulate(["--users", "200", "--days", "6", "--seed", "1", "--journal", url, *arms])
    return url


def run(journal: str, *options: str | Path) -> Result:
    arguments = ["components", "population", "--journal", journal, *map(str, options)]
    runner = CliRunner(env={"COLUMNS": "120"})
    return runner.invoke(experiment.app, arguments, catch_exceptions=False)


def test_components_that_do_the_same_are_not_called_different(journal: str) -> None:
    """By every measure; the arm of one component has none to compare. It is seeded."""
    document = json.loads(run(journal, "--json", "--against", "two").stdout)

    assert document["simulated"]
    assert list(document["arms"]) == ["blend"]
    blend = document["arms"]["blend"]
    assert blend["against"] == "two"
    assert blend["responses"] > 1000
    for weight in blend["mean_weights"].values():
        assert weight["low"] <= 1 <= weight["high"]
    for measure, components in blend["measures"].items():
        assert set(components) == {"one", "two", "three"}, measure
        for one in components.values():
            assert one["low"] <= one["value"] <= one["high"]
            assert one["corrected_p"] is None or one["corrected_p"] > 0.05
    # The other arm draws one component only.
    assert document["left_out"]["named"] > 1000


def test_what_it_cannot_tell_is_read_on_the_terminal(journal: str) -> None:
    """Below the table, SIMULATED first; 120 columns are enough."""
    output = run(journal).output.strip()

    assert output.startswith("SIMULATED")
    for expected in (
        "Turns still to come",
        "more than one",
        "Not told here",
        "share one fate",
    ):
        assert expected in output, expected


def test_an_experiment_that_is_too_young_gives_no_numbers(journal: str) -> None:
    """It says how many users there are, and how many it needs."""
    document = json.loads(run(journal, "--json", "--until", "2020-01-01").stdout)

    assert "wait" in document["arms"]["blend"]["too_few"]["one"]
    assert not any(document["arms"]["blend"]["measures"].values())


def test_a_component_to_compare_with_has_to_be_drawn(journal: str) -> None:
    """The error names those that are."""
    with pytest.raises(ConfigError, match="never draws 'four'; it draws: one, two, three"):
        run(journal, "--against", "four")
