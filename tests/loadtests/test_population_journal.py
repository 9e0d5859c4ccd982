"""A journal that simulated users have filled, by the command line."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select

from blended.experiments.assignment import arm_of
from blended.experiments.definition import Definition
from blended.journal.queries import user_days
from blended.journal.records import ExperimentRecord, ResponseRecord
from blended.journal.store import Store
from blended.journal.tables import experiments, feedback, responses
from blended.router import selection
from loadtests.studies.population.__main__ import main
from loadtests.studies.population.journal_writing import SimulatedExperiment
from loadtests.studies.population.options import parse_arms
from tests.journal.databases import rows

ARMS = ("control", "blend:retention=1.15,engagement=1.10")
REHEARSAL = SimulatedExperiment(
    "population", parse_arms(ARMS), 120, 12, 2, date(2026, 11, 1), seed=1
)
OPTIONS = ["--arm", ARMS[0], "--arm", ARMS[1], "--users", "120", "--days", "12"]
START_S = datetime(2026, 11, 1, tzinfo=UTC).timestamp()
NOW = START_S + 12 * 86_400 + 3600


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """The journal of 120 users, on days that end yesterday."""
    url = f"sqlite:///{tmp_path_factory.mktemp('population') / 'journal.db'}"
    assert main([*OPTIONS, "--journal", url], now=NOW) == 0
    store = Store(url)
    yield store
    store.close()


def records_of(rehearsal: SimulatedExperiment) -> list[Any]:
    days = rehearsal.records(rehearsal.population())
    return [record for day in days for record in day]


def test_the_journal_measures_the_seconds_that_were_drawn(written: Store) -> None:
    """The waiting included: for every user and day, and for nobody on a day off."""
    gap_s = 1800.0
    found = written.stream(user_days(START_S, NOW, gap_s), 1000)
    measured = {
        (row.user, row.day): row.active_s + row.waited_s for batch in found for row in batch
    }

    population, first = REHEARSAL.population(), round(START_S / 86_400)
    drawn = {
        (population.names[user], first + population.join_day[user] + day): seconds
        for (user, day), seconds in np.ndenumerate(population.activity.seconds)
        if seconds > 0
    }
    assert measured == pytest.approx(drawn, abs=0.00051)


def test_the_experiment_says_that_it_is_simulated(written: Store) -> None:
    """Its definition is one that the analysis reads."""
    (row,) = rows(written, experiments)

    definition = Definition.from_json(row.definition)
    assert definition.simulated
    assert (definition.name, definition.version) == ("population", row.version)
    assert (definition.start, definition.end) == (START_S, START_S + 12 * 86_400)
    assert [arm.probabilities["one"] for arm in definition.arms] == [1, pytest.approx(1 / 3)]


def test_arms_and_draws_follow_from_the_records_alone(written: Store) -> None:
    """By the hash of the user, and by the number that decided."""
    (experiment,) = REHEARSAL.blend().experiments
    arms = {arm.id: arm for arm in experiment.arms}
    for row in rows(written, responses):
        assert row.arm == arm_of(experiment, row.user).id
        distribution = selection.normalise(REHEARSAL.blend().arm_weights(arms[row.arm]))
        nonce = row.response_id.removeprefix("chatcmpl-")
        number = selection.uniform("", row.conversation, row.turn, nonce)
        draw = selection.draw(distribution, number)
        assert (row.uniform, row.drawn) == (number, draw.component)
        assert row.probabilities == distribution.by_component
        answered = row.state == "finished"
        expected = (draw.component, draw.propensity) if answered else (None, None)
        assert (row.component, row.propensity) == expected


def test_retries_and_continuations_are_derived(written: Store) -> None:
    """Of several answers to one history all but the last are retried, the last is continued."""
    found = rows(written, responses)
    answered = Counter(row.lineage for row in found if row.state == "finished")
    parents = {row.parent for row in found if row.parent}

    said = Counter(row.kind for row in rows(written, feedback) if row.derived)
    assert said == {"retry": answered.total() - len(answered), "continued": len(parents)}
    assert said["retry"] > 50
    assert parents <= answered.keys()
    given = Counter(row.kind for row in rows(written, feedback) if not row.derived)
    assert given["thumb"] > given["edit"] > 0


def test_equal_arguments_give_equal_records() -> None:
    """Another seed gives other users."""
    records = records_of(REHEARSAL)

    assert isinstance(records[0], ExperimentRecord)
    assert records == records_of(REHEARSAL)
    other = records_of(replace(REHEARSAL, seed=2))
    users, others = (
        {r.user for r in rs if isinstance(r, ResponseRecord)} for rs in (records, other)
    )
    assert len(users) == len(others) == 120
    assert not users & others


def test_what_is_written_twice_is_there_once(written: Store, tmp_path: Path) -> None:
    """The same command may be given again."""
    url = f"sqlite:///{tmp_path / 'journal.db'}"
    for _ in range(2):
        assert main([*OPTIONS, "--start", "2026-11-01", "--journal", url]) == 0

    again = Store(url)
    ids = select(responses.c.response_id).order_by("response_id")
    first, second = ([r for b in s.stream(ids, 1000) for r in b] for s in (written, again))
    again.close()
    assert first == second


def test_it_says_that_all_is_simulated_and_what_is_true(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """First and for people, and last as JSON."""
    url = f"sqlite:///{tmp_path / 'journal.db'}"
    assert main([*OPTIONS[:4], "--users", "9", "--days", "3", "--journal", url]) == 0

    lines = capsys.readouterr().out.splitlines()
    result = json.loads(lines[-1])
    assert lines[0].startswith("SIMULATED")
    assert any("blend" in line and "+0.1398" in line for line in lines)
    assert result["simulated"] is True
    assert result["truth"]["blend"]["delta_alpha"] == pytest.approx(np.log(1.1))
    assert sum(arm["users"] for arm in result["arms"].values()) == 9
    assert result["records"]["ExperimentRecord"] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--arm", "a", "--arm", "b:stickiness=2"], "unknown effect 'stickiness'; the"),
        (["--arm", "a", "--arm", "b:retention=much"], "retention=much, which is no number"),
        (["--arm", "a", "--arm", "b:retention=1.7"], "come back with probability 1.02"),
        (["--arm", "a", "--arm", "b:retention=-1"], "factors must be above 0"),
        (["--arm", "a", "--arm", "b:engagement=500"], "hours of one day; give a smaller"),
        (["--arm", "a", "--arm", "a"], "2 arms are called 'a'"),
        (["--arm", "a"], "give --arm at least twice"),
        (["--arm", "a", "--arm", "B!"], "'B!' is not valid"),
        ([*OPTIONS, "--join-days", "13"], "Users join on the first 13 of 12 days"),
        ([*OPTIONS, "--journal", "oracle://x"], "The journal's address is of no kind"),
        ([*OPTIONS, "--url", "http://127.0.0.1:1"], "Give either --journal"),
    ],
)
def test_nonsense_is_refused_in_a_sentence(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The exit status is that of a wrong command line."""
    journal = ["--journal", f"sqlite:///{tmp_path / 'journal.db'}", "--users", "20"]

    assert main([*journal, *arguments]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--users", "0"], "'0' is not above 0"),
        (["--days", "x"], "'x' is no whole number"),
        (["--start", "soon"], "'soon' is no day like"),
        (["--url", "here"], "'here' is no address like"),
        (["--day-s", "short"], "'short' is no number of seconds"),
    ],
)
def test_values_of_the_wrong_kind_are_refused(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """By argparse, with the option's name."""
    with pytest.raises(SystemExit) as exit:
        main(arguments)

    assert exit.value.code == 2
    assert message in capsys.readouterr().err


def test_a_database_that_cannot_be_used_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is no mistake of the command line."""
    (tmp_path / "journal.db").write_text("no database" * 1000)

    assert main([*OPTIONS, "--journal", f"sqlite:///{tmp_path / 'journal.db'}"]) == 1
    assert "journal.db cannot be used" in capsys.readouterr().err
