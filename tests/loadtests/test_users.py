"""Which conversations come, and when: without Locust, and without a server."""

import json
import math
import random
from argparse import ArgumentParser
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from blended.journal.export import Format, export
from blended.journal.store import Store
from loadtests.users import options
from loadtests.users.arrivals import part, poisson, read, replayed, times
from loadtests.users.load_shapes import SHAPES, LoadShape
from loadtests.users.people import Conversation, People, conversations, load, main
from tests.journal.samples import response as record

MODELS = ["blend", "a", "b"]


def drawn(count: int, **habits: float) -> list[Conversation]:
    """Conversations of the shipped people, with some habits changed."""
    people = replace(load(), **habits)
    return list(islice(conversations(people, random.Random(1), MODELS), count))


def test_people_are_as_their_file_says() -> None:
    """Means and shares of 4,000 conversations; a wrong one is found, with odds of a false alarm
    below 1 in 10,000 for each (4 standard errors)."""
    people, found = load(), drawn(4000)
    asks = [ask for conversation in found for ask in conversation.asks]
    turns = [sum(bool(ask.text) for ask in c.asks) for c in found]
    streamed = [ask for ask in asks if ask.streamed]
    words = sorted(len(ask.text.split()) for ask in asks if ask.text)
    pauses = [ask.pause_s for ask in asks if ask.text]
    leaves = [ask.leave_after for ask in streamed if ask.leave_after]
    users = len({conversation.user for conversation in found})

    def share(part: int, of: int, expected: float) -> None:
        error = math.sqrt(expected * (1 - expected) / of)
        assert part / of == pytest.approx(expected, abs=4 * error)

    deviation = math.sqrt(people.turns * (people.turns - 1) / len(found))
    assert sum(turns) / len(turns) == pytest.approx(people.turns, abs=4 * deviation)
    assert sum(pauses) / len(pauses) == pytest.approx(
        people.think_s, abs=4 * people.think_s / math.sqrt(len(pauses))
    )
    # Of a median: 1.25 standard deviations of the logarithm; lengths are whole numbers.
    error = 4 * 1.25 * people.words_spread / math.sqrt(len(words))
    assert math.log(words[len(words) // 2] / people.words) == pytest.approx(0, abs=error + 0.05)
    assert sum(leaves) / len(leaves) == pytest.approx(
        people.abandoned_tokens, abs=4 * people.abandoned_tokens / math.sqrt(len(leaves))
    )
    share(len(streamed), len(asks), people.streamed)
    share(len(leaves), len(streamed), people.abandoned)
    share(sum(not ask.text for ask in asks), len(words), people.regenerated)
    share(sum(c.model != "blend" for c in found), len(found), people.direct)
    share(len(found) - users, len(found), people.returning)
    assert {c.model for c in found} == set(MODELS)
    assert len({c.id for c in found}) == len(found)


def test_a_seed_decides_who_comes() -> None:
    """Equal seeds give equal people, others others."""

    def people(seed: int) -> list[Any]:
        return list(poisson(load(), lambda at: 1.0, 5, 20, seed, MODELS))

    assert people(3) == people(3) != people(4)


def test_a_file_needs_only_what_is_different(tmp_path: Path) -> None:
    """YAML or JSON; the rest is as it ships."""
    for name, text in (("a.yaml", "turns: 9 # more\n"), ("a.json", '{"turns": 9}')):
        (tmp_path / name).write_text(text)

        assert load(tmp_path / name) == replace(load(), turns=9)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("tarns: 5", r"'tarns' is unknown; there are abandoned, .*turns"),
        ("turns: 0", r"turns is 0; it must be a number from 1 on\."),
        ("streamed: 1.5", r"streamed is 1\.5; it must be a number between 0 and 1\."),
        ("direct: often", r"direct is 'often'; it must be a number"),
        ("- turns", r"must be a mapping such as 'turns: 5'"),
        ("turns: [", r"is not YAML"),
    ],
)
def test_a_mistake_in_a_file_is_told(
    text: str, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What, the value, and what to do; by the command line too."""
    path = tmp_path / "people.yaml"
    path.write_text(text)

    with pytest.raises(ValueError, match=sentence):
        load(path)
    assert main([str(path)]) == 2
    assert str(path) in capsys.readouterr().err


def test_a_file_becomes_json_that_reads_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """For where there is no PyYAML."""
    assert main([]) == 0

    path = tmp_path / "people.json"
    path.write_text(capsys.readouterr().out)
    assert load(path) == load()


def test_arrivals_follow_their_shape() -> None:
    """In each tenth of the run as many as the shape's integral says: within 5 standard deviations
    of a Poisson number, so that one of 60 tenths is off by chance once in 30,000 runs."""
    rate, seconds = 40.0, 500.0
    for name in SHAPES:
        shape = LoadShape(name, steps=5)
        found = list(times(shape.level, rate, seconds, random.Random(name)))

        assert found == sorted(found)
        for tenth in range(10):
            grid = [(tenth + (n + 0.5) / 50) / 10 for n in range(50)]
            expected = rate * seconds / 10 * sum(map(shape.level, grid)) / len(grid)
            low, high = tenth * seconds / 10, (tenth + 1) * seconds / 10
            counted = sum(low <= at < high for at in found)
            assert counted == pytest.approx(expected, abs=5 * math.sqrt(expected) + 1)


def test_shapes_are_as_their_names_say() -> None:
    """Levels at some moments, as shares of the largest load."""
    levels = {name: [LoadShape(name, 0.2, 4).level(n / 8) for n in range(9)] for name in SHAPES}

    assert set(levels["steady"]) == {1.0}
    assert levels["ramp"] == [n / 8 for n in range(9)]
    assert levels["step"] == [0.25, 0.25, 0.5, 0.5, 0.75, 0.75, 1, 1, 1]
    assert levels["diurnal"][0] == levels["diurnal"][8] == pytest.approx(0.2)
    assert levels["diurnal"][4] == max(levels["diurnal"]) == pytest.approx(1)
    assert levels["flash"] == [0.2, 0.2, 0.2, 0.2, 1, 0.2, 0.2, 0.2, 0.2]
    assert levels["soak"][0] == 0
    assert set(levels["soak"][1:]) == {1.0}


def test_parts_of_arrivals_are_the_whole() -> None:
    """Whatever the number of workers; each arrival has one."""
    whole = list(poisson(load(), lambda at: 1.0, 5, 20, 1, MODELS))

    for of in (1, 3):
        taken = [a for place in range(of) for a in part(iter(whole), place, of)]
        assert sorted(taken, key=lambda arrival: arrival[0]) == whole


@pytest.mark.parametrize("file_format", ["jsonl", "parquet"])
def test_an_export_of_the_journal_is_read(
    file_format: Format, store: Store, tmp_path: Path
) -> None:
    """Times, conversations, users, models and turns, whatever the format."""
    store.add([record(0), record(3, turn=2), record(1, conversation="d0" * 16, model="a")])
    export(store, 0, 1e10, tmp_path, file_format)

    found = read(tmp_path / f"responses.{file_format}")

    assert [(r.at_s, r.turn, r.model) for r in found] == [
        (0, 1, "friends"),
        (1, 1, "a"),
        (3, 2, "friends"),
    ]
    assert found[0].conversation == found[2].conversation != found[1].conversation
    assert {r.user for r in found} == {"5f" * 16}


def test_a_replay_keeps_times_and_turns(tmp_path: Path) -> None:
    """Ten times as fast; a turn that is answered twice is one message. Without conversations every
    record is one; models that are not served are the blend."""
    path = tmp_path / "times.jsonl"
    rows = [
        {"started_at": "2026-11-01T00:00:10+00:00", "conversation": "x", "turn": 1, "model": "a"},
        {"started_at": "2026-11-01T00:00:30+00:00", "conversation": "x", "turn": 1, "model": "a"},
        {"started_at": "2026-11-01T00:00:40+00:00", "conversation": "x", "turn": 2, "model": "a"},
        {"started_at": "2026-11-01T00:00:20+00:00", "model": "gone"},
    ]
    path.write_text("\n".join(map(json.dumps, rows)))

    found = list(replayed(read(path), load(), 10, 1, MODELS))

    assert [(at_s, c.model) for at_s, c in found] == [(0, "a"), (1, "blend")]
    asks = found[0][1].asks
    assert [ask.at_s for ask in asks] == [0, 2, 3]
    assert [bool(ask.text) for ask in asks] == [True, False, True]


@pytest.mark.parametrize("text", ["", '{"turn": 1}\n', "[]\n", "no JSON\n"])
def test_what_cannot_be_replayed_is_told(text: str, tmp_path: Path) -> None:
    """With the file's name, and what it needs."""
    path = tmp_path / "records.jsonl"
    path.write_text(text)

    with pytest.raises(ValueError, match=rf"{path}( has no records|.*'started_at')"):
        read(path)


def told(*arguments: str) -> options.LoadTest:
    """The run of a command line, with Locust's own options."""
    parser = ArgumentParser()
    options.add(parser)
    for name, kind in (("num_users", int), ("spawn_rate", float), ("run_time", int)):
        parser.add_argument(f"--{name.replace('_', '-')}", dest=name, type=kind)
    return options.run(parser.parse_args(arguments))


def test_a_closed_loop_has_users_by_its_shape() -> None:
    """Never less than one, without a rate, and without an end unless there is one."""
    run = told("--num-users", "8", "--shape", "step", "--steps", "4", "--run-time", "40")

    assert not run.is_open
    assert [run.users_at(at_s) for at_s in (0, 10, 20, 39)] == [2, 4, 6, 8]
    assert told("--num-users", "8").users_at(1e6) == 8
    assert told().load()["seconds"] is None


def test_slots_are_thirds_of_a_step() -> None:
    """So that a part of a run is one of its steps."""
    assert told("--run-time", "120", "--steps", "4", "--rate", "1").slot_s == 10


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--speed", "0"), "--speed more than 0"),
        (("--shape", "flash", "--rate", "1"), "The shape flash needs an end"),
        (("--low", "2"), "it must be 0 to 1"),
        (("--steps", "0"), "it must have 1 or more"),
    ],
)
def test_options_that_are_impossible_are_told(arguments: tuple[str, ...], sentence: str) -> None:
    """By a sentence."""
    with pytest.raises(ValueError, match=sentence):
        told(*arguments)


def test_shipped_people_are_whole() -> None:
    """Every habit is in the shipped file, and `responses` counts regenerations."""
    assert isinstance(load(), People)
    assert replace(load(), turns=4, regenerated=0.5).responses == 6


def test_a_file_of_people_that_lies_too_deep_is_refused(tmp_path: Path) -> None:
    """JSON and YAML alike."""
    for name in ("people.json", "people.yaml"):
        path = tmp_path / name
        path.write_text("[" * 100_000 + "]" * 100_000)
        with pytest.raises(ValueError, match="is nested too deep; it must be one mapping"):
            load(path)
