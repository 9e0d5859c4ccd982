"""When Locust's users come: in an open loop, over several processes, as a journal has them."""

import json
from collections import Counter
from pathlib import Path

import pytest

from tests.journal.journals import journal
from tests.loadtests.locust_runs import (
    TOO_LATE_S,
    Habits,
    arrivals,
    distributed,
    locust,
    paced,
    turns,
)
from tests.support import blend, rig


async def test_an_open_loop_does_not_wait_for_its_answers(people: Habits) -> None:
    """Every conversation begins at its time, although none has ended by then."""
    alone = {"turns": 1, "regenerated": 0, "abandoned": 0, "streamed": 1}
    expected = [at_s for at_s, _ in arrivals(seconds=3, seed=5)]
    async with rig(paced(tokens=2, ttft_ms=3000)) as front:
        options = ("--rate", "8", "--seed", "5", "--people", people(**alone))
        run = await locust(front.url, *options)
        began = [record.started_at for record in front.records]

    assert run.status == 0, run.log
    assert run.result["load"]["loop"] == "open"
    assert run.result["all"]["finished"] == len(began) == len(expected) > 10
    # All have been sent when the first may be answered.
    assert max(began) - min(began) < 3 + TOO_LATE_S


async def test_a_master_and_two_workers_share_the_users() -> None:
    """Both have joined; statistics and level are those of all; workers end with their master."""
    async with rig(blend("a", "b")) as front:
        run, workers = await distributed(front.url, "--first-token-ms", "5000")

    assert run.status == 0, run.log
    assert run.statistics["chat"]["num_requests"] == run.result["all"]["finished"] > 0
    assert run.statistics["chat"]["num_failures"] == 0
    assert len(run.result["client"]) == 2
    assert workers == [0, 0]


async def test_workers_share_the_arrivals_of_an_open_loop(people: Habits) -> None:
    """Together they are those of one process: every conversation once, whoever has it."""
    alone = {"turns": 1, "regenerated": 0, "abandoned": 0, "direct": 0}
    async with rig(blend("a", "b")) as front:
        options = ("--rate", "8", "--seed", "6", "--people", people(**alone))
        run, _ = await distributed(front.url, *options)
        one = await locust(front.url, *options)

    assert run.status == one.status == 0, run.log
    assert run.result["all"]["finished"] == one.result["all"]["finished"] > 10
    assert set(Counter(record.conversation for record in front.records).values()) == {2}


async def test_a_journal_is_replayed_faster(people: Habits, tmp_path: Path) -> None:
    """Conversations, users, turns, regenerations and models are those of the records."""
    source = tmp_path / "responses.jsonl"
    # Three conversations of two users; the first turn of "x" was answered twice.
    lines = [("x", "u", 1, 0.0), ("y", "v", 1, 4.0), ("x", "u", 1, 8.0), ("x", "u", 2, 16.0)]
    rows = [
        {"started_at": 1e9 + at, "conversation": c, "user": u, "turn": turn, "model": "blend"}
        for c, u, turn, at in [*lines, ("z", "u", 1, 20.0)]
    ]
    source.write_text("".join(f"{json.dumps(row | {'stream': True})}\n" for row in rows))
    with journal(tmp_path) as kept:
        async with rig(blend("a", "b"), kept) as front:
            options = ("--replay", str(source), "--speed", "10", "--people", people(abandoned=0))
            run = await locust(front.url, "--run-time", "4s", *options)

    assert run.status == 0, run.log
    records = sorted(front.records, key=lambda record: record.started_at)
    assert [record.turn for record in records] == [1, 1, 1, 2, 1]
    assert [len(found) for found in turns(front).values()] == [3, 1, 1]
    assert records[0].user == records[4].user != records[1].user
    assert records[0].lineage == records[2].lineage
    gaps = [later.started_at - records[0].started_at for later in records]
    assert gaps == pytest.approx([0.0, 0.4, 0.8, 1.6, 2.0], abs=TOO_LATE_S)
