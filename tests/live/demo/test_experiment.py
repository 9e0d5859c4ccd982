"""An experiment on real engines with simulated users, from its file to its report."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from blended.experiments.measures import GUARDRAILS
from tests.live.conftest import Live
from tests.live.demo.conftest import applied

pytestmark = pytest.mark.ray

# An arm with fewer than 20 users, too few for a report, occurs once in 5,000 runs.
DAY_S, DAYS, USERS = 24, 3, 70


def experiment() -> dict[str, Any]:
    """All three components together against one of them, with days of some seconds."""
    now = datetime.now(UTC)
    return {
        "name": "together",
        "start": now.isoformat(),
        "end": (now + timedelta(hours=1)).isoformat(),
        "control": "ember",
        "arms": [{"id": "all"}, {"id": "ember", "weights": {"ember": 1}}],
        "session_gap_s": DAY_S / 48,
        "rehearsal": {"day_s": DAY_S},
    }


@pytest.fixture(scope="module")
def rehearsed(demo: Live, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """The simulated users' account of the experiment, applied to the demo while it serves."""
    folder = tmp_path_factory.mktemp("experiment")
    with applied(demo, folder, experiments=[experiment()]) as printed:
        assert "Experiment 'together' is added" in printed
        yield simulate(demo, folder / "blend.yaml")


def simulate(demo: Live, file: Path) -> dict[str, Any]:
    """Simulate the users' days at the API, with short visits that a busy machine can serve."""
    arms = ["ember:engagement=0.2", "all:retention=1.5,engagement=0.2"]
    options = {
        "--url": demo.url,
        "--blend": str(file),
        "--experiment": "together",
        "--day-s": str(DAY_S),
        "--days": str(DAYS),
        "--users": str(USERS),
        "--join-days": "2",
    }
    command = [sys.executable, "-m", "loadtests.studies.population"]
    command += [word for option in options.items() for word in option]
    command += [word for arm in arms for word in ("--arm", arm)]
    done = subprocess.run(command, env=demo.env, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def report(demo: Live, *options: str) -> "subprocess.CompletedProcess[str]":
    # The last day is over when the next one has begun; by then the database has its records.
    until = datetime.now(UTC) + timedelta(seconds=DAY_S)
    return demo.cli("experiment", "report", "together", "--until", until.isoformat(), *options)


def complete(demo: Live, requests: int) -> dict[str, Any]:
    """The report on all requests; the last records reach the database some seconds later."""
    deadline = time.monotonic() + 60
    while True:
        document: dict[str, Any] = json.loads(report(demo, "--json").stdout)
        responses = sum(arm["responses"] for arm in document["arms"].values())
        if responses == requests:
            return document
        assert time.monotonic() < deadline, f"{responses} of {requests} responses are known"


def test_simulated_users_are_answered_by_their_arms(demo: Live, rehearsed: dict[str, Any]) -> None:
    """The report has the users of each arm as sent, and all of their requests; each arm draws only
    its own components. A busy machine may refuse a few requests."""
    assert rehearsed["finished"] >= 0.97 * rehearsed["requests"]
    document = complete(demo, rehearsed["requests"])

    users = {arm: found["users"] for arm, found in rehearsed["arms"].items()}
    assert {arm: found["users"] for arm, found in document["arms"].items()} == users
    assert document["simulated"]
    nobody = {"all": 0, "ember": 0}
    left_out = {"in_two_arms": 0, "known_before": 0, "around_the_clock": nobody}
    assert document["left_out"] == left_out
    alone = document["arms"]["ember"]["components"]
    assert alone["ember"] == {"probability": 1.0, "drawn": 1.0, "answered": 1.0}
    together = document["arms"]["all"]["components"]
    assert min(shares["drawn"] for shares in together.values()) > 0.2


def test_the_report_has_its_plots(demo: Live, rehearsed: dict[str, Any], tmp_path: Path) -> None:
    """One file that says SIMULATED, with the shares and the plots that so few users allow."""
    assert rehearsed["requests"]
    page = tmp_path / "report.html"
    done = report(demo, "--json", "--html", str(page))

    assert done.returncode == 0, done.stdout + done.stderr
    document, text = json.loads(done.stdout), page.read_text()
    assert "SIMULATED" in text
    drawn = re.findall(r'<figure id="(\w+)">\s*<svg', text)
    assert "shares" in drawn
    known = {
        measure
        for effects in document["effects"].values()
        for measure, effect in effects.items()
        if effect["low"] is not None
    }
    assert ("guardrails" in drawn) == bool(known & GUARDRAILS)
    assert ("goals" in drawn) == bool(known - GUARDRAILS)
