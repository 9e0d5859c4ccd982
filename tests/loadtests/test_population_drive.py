"""Simulated users at a real router, with simulated components behind it."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest

from blended.config import BlendConfig
from blended.errors import ConfigError
from blended.experiments.assignment import arm_of, is_in_slice
from blended.journal.identity import SECRET_ENV
from blended.router.blend import CLIENT_KEY_ENV
from loadtests.studies.population import report
from loadtests.studies.population.__main__ import main
from loadtests.studies.population.drive import RequestCounts, UserRequest, messages, reply_of
from loadtests.studies.population.options import parse_arms
from loadtests.studies.population.schedule import (
    NOWHERE,
    Cast,
    check_period,
    experiment_of,
    next_day,
)
from tests.journal.journals import IDENTITY, journal
from tests.support import CLIENT_KEY, blend, eventually, rig

EFFECTS = parse_arms(["one", "both:retention=1.5"])
DAY_S = 2.0
EXPERIMENT: dict[str, Any] = {
    "name": "rehearsal",
    "start": "2020-01-01",
    "end": "2100-01-01",
    "control": "one",
    "arms": [{"id": "one", "weights": {"a": 1}}, {"id": "both"}],
    "session_gap_s": 1800 / 86_400 * DAY_S,
    "rehearsal": {"day_s": DAY_S},
}


def rehearsed(**fields: Any) -> BlendConfig:
    """A blend of two simulated components with one experiment."""
    return blend("a", "b", experiments=[{**EXPERIMENT, **fields}])


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The command line of a drive of three days of two seconds, but for the address."""
    monkeypatch.setenv(CLIENT_KEY_ENV, CLIENT_KEY)
    monkeypatch.setenv(SECRET_ENV, "secret")
    file = tmp_path / "blend.yaml"
    file.write_text(json.dumps(rehearsed().model_dump(mode="json", exclude_defaults=True)))
    arms = ["--arm", "one", "--arm", "both:retention=1.5", "--experiment", "rehearsal"]
    return ["--blend", str(file), "--day-s", f"{DAY_S}", "--days", "3", "--users", "8", *arms]


async def test_every_request_is_answered_and_in_the_users_arm(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The driver and the router count the same, and agree on the arms, which are never sent."""
    config = rehearsed()
    with journal(tmp_path) as kept:
        async with rig(config, kept) as r:
            status = await asyncio.to_thread(main, [*command, "--url", r.url])
            result = json.loads(capsys.readouterr().out.splitlines()[-1])
            await eventually(lambda: len(r.records) == result["requests"])
            records = list(r.records)

    assert status == 0
    assert result["finished"] == result["requests"] > 50
    assert (result["failed"], result["failures"]) == (0, {})
    assert {record.state for record in records} == {"finished"}
    users = {record.user: record.arm for record in records}
    (experiment,) = config.experiments
    assert users == {user: arm_of(experiment, user or "").id for user in users}
    assert result["arms"] == {
        name: {"users": sum(arm == name for arm in users.values())} for name in ("one", "both")
    }
    assert {record.experiment for record in records} == {"rehearsal"}
    # The same request again, and a history that grew.
    lineages = [record.lineage for record in records]
    assert len(set(lineages)) < len(lineages)
    assert {record.parent for record in records} - {None} <= set(lineages)


def test_an_api_that_does_not_answer_is_named(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Requests that fail are counted, and the drive ends on time."""
    began_s = time.monotonic()
    url = ["--url", "http://127.0.0.1:9", "--days", "1", "--users", "2"]

    assert main([*command, *url]) == 1
    out, err = capsys.readouterr()
    result = json.loads(out.splitlines()[-1])
    assert result["failed"] == sum(result["failures"].values()) == result["requests"] > 0
    assert "No request was answered" in err
    assert time.monotonic() - began_s < 20


def test_a_clock_that_was_too_fast_is_named() -> None:
    """Half of the requests came on the wrong half of a day, or later."""
    late = RequestCounts(late_s=[0.0, 1.5, 1.6])

    complaint = report.complaint(report.driven(late, DAY_S))
    assert complaint is not None
    assert complaint.startswith("The clock was too fast: half of the requests were at least 1.5 s")
    assert report.complaint(report.driven(late, 10.0)) is None


def test_users_outside_of_the_experiment_have_no_arm() -> None:
    """They come as well, with the habits of nobody in particular."""
    config = rehearsed(users=(0, 0.5))
    (experiment,) = config.experiments
    cast = Cast(config, experiment, EFFECTS, users=60, days=3, join_days=2, seed=1)

    users, arms = cast.schedule(IDENTITY, began_at=1_800_000_000.0, day_s=DAY_S)
    for user, arm in zip(users, arms, strict=True):
        hashed = IDENTITY.user(user.name)
        is_here = is_in_slice(experiment, hashed)
        assert arm == (arm_of(experiment, hashed).id if is_here else NOWHERE)
        due_s = [ask.due_s for ask in user.asks]
        assert due_s == sorted(due_s)
        assert 0 <= due_s[0] < due_s[-1] < 3 * DAY_S
    assert 0 < arms.count(NOWHERE) < 60


def test_a_history_grows_by_what_was_answered() -> None:
    """A new response replaces the one before; what was never answered is not built upon."""
    first, more = UserRequest(0, "c", True, False), UserRequest(1, "c", False, False)
    begun = messages(first, [], None)
    assert [m["role"] for m in begun] == ["user"]
    assert messages(UserRequest(1, "c", False, True), begun, "Hi.") == begun
    grown = messages(more, begun, "Hi.")
    assert grown[:2] == [*begun, {"role": "assistant", "content": "Hi."}]
    assert [m["role"] for m in messages(more, grown, None)] == ["user", "assistant", "user"]
    assert messages(first, grown, "So.") == begun


def test_a_stream_that_breaks_off_is_no_reply() -> None:
    """Only its end tells that a stream is whole."""
    event = b'data: {"choices": [{"delta": {"content": "Hi"}}]}\n\n'
    assert reply_of(event * 2 + b"data: [DONE]\n\n") == "HiHi"
    assert reply_of(event) is None
    assert reply_of(b"") is None


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "other"}, "no experiment 'rehearsal'; its experiments are: other"),
        ({"rehearsal": None}, "is no rehearsal with days of 2 s"),
        ({"rehearsal": {"day_s": 20}}, "is no rehearsal with days of 2 s"),
        ({"arms": [{"id": "one"}, {"id": "two"}]}, "has the arms one, two; give --arm once"),
        ({"session_gap_s": 1800}, "give it 'session_gap_s: 0.0417'"),
    ],
)
def test_an_experiment_that_is_not_the_one_is_refused(fields: dict[str, Any], message: str) -> None:
    """Its users would be taken for people, or their days for other ones."""
    with pytest.raises(ConfigError, match=message):
        experiment_of(rehearsed(**fields), "rehearsal", EFFECTS, DAY_S)


def test_an_experiment_that_does_not_run_all_days_is_refused() -> None:
    """Users would be in no arm for a part of their days."""
    (experiment,) = rehearsed(end="2027-01-01").experiments
    end = experiment.end.timestamp()

    check_period(experiment, end - 60, end)
    with pytest.raises(ConfigError, match="does not cover all days"):
        check_period(experiment, end - 60, end + 1)


def test_days_begin_where_the_journal_counts_them_from() -> None:
    """At the next multiple of a day since 1970."""
    assert next_day(41.0, 20.0) == 60.0
    assert next_day(60.0, 20.0) == 60.0
