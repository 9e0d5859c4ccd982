"""A policy on real engines: users who like one component better for one kind of message."""

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from loadtests.studies.policies.people import Liking, Told, talk
from loadtests.studies.population.drive import BlendApi
from tests.live.conftest import Live
from tests.live.demo.conftest import applied

pytestmark = pytest.mark.ray

# A response is liked by 95 %, or by 10 %: so few users can tell. An interval that misses by chance
# is one of 20, and the effect is ten of its errors.
LIKING = Liking({"games": "ember", "meals": "flint", "nights": "willow"}, 0.95, 0.1)
DAY_S, USERS, MESSAGES = 10, 120, 4


def experiment(arms: list[dict[str, Any]]) -> dict[str, Any]:
    now = datetime.now(UTC)
    return {
        "name": "by-message",
        "start": now.isoformat(),
        "end": (now + timedelta(hours=1)).isoformat(),
        "control": "uniform",
        "arms": arms,
        "rehearsal": {"day_s": DAY_S},
    }


@contextmanager
def recalling(demo: Live, folder: Path, **changes: Any) -> Iterator[str]:
    """The demo with texts in the journal, and with what a policy may know."""
    always = {
        "selection": {"recall": True},
        "journal": {"content": {"retention_days": 1}},
        "api": {"reveal_component": True},
    }
    with applied(demo, folder, **always, **changes) as printed:
        yield printed


def told_to(demo: Live, users: str, seed: int) -> Told:
    """What users saw, once the day of their last response is over and the journal has it."""
    names = [f"{users}-{n}" for n in range(USERS)]
    told = asyncio.run(
        talk(BlendApi(demo.url, demo.api_key, "demo"), LIKING, names, MESSAGES, seed)
    )
    time.sleep(DAY_S + 5)  # records reach the database within seconds
    return told


def learn(demo: Live, *options: str, statuses: tuple[int, ...] = (0,)) -> str:
    done = demo.cli("learn", *options)
    assert done.returncode in statuses, done.stdout + done.stderr
    return done.stdout


def test_a_policy_from_the_draws_pleases_users(demo: Live, tmp_path: Path) -> None:
    """Fit, evaluate, promote, apply; the experiment between uniform and learned finds the gain."""
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    since = datetime.now(UTC).isoformat()
    with recalling(demo, first):
        told = told_to(demo, "first", 1)
    assert told.failed <= 0.03 * told.responses
    options = ("--since", since, "--day-s", str(DAY_S))
    reference = learn(demo, "fit", "demo-1", "--reward", "kept", *options).splitlines()[0]
    # So few users are held out that it may not be shown to be better.
    judged = json.loads(learn(demo, "evaluate", reference, *options, "--json", statuses=(0, 1)))
    assert judged["gain"]["value"] > 0

    arms = [{"id": "uniform"}, {"id": "learned", "policy": reference}]
    with recalling(demo, second, experiments=[experiment(arms)]):
        told_to(demo, "second", 2)
        done = demo.cli("experiment", "report", "by-message", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads(done.stdout)

    effect = document["effects"]["learned"]["regenerations"]
    assert effect["high"] < 0, effect
    drawn = document["arms"]["learned"]["components"]
    assert min(shares["drawn"] for shares in drawn.values()) > 0.15
