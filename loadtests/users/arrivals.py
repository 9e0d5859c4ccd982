"""The times at which conversations of an open loop begin: random, or from a journal's records."""

import json
import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

from loadtests.users.people import Ask, Conversation, People, ask, conversations

Arrival = tuple[float, Conversation]


@dataclass(frozen=True)
class Recorded:
    """The used fields of a response's record; `at_s` is the time since the first record."""

    at_s: float
    conversation: str
    user: str
    model: str
    turn: int | None
    streamed: bool | None


def times(
    level: Callable[[float], float], rate: float, seconds: float, rng: random.Random
) -> Iterator[float]:
    """A Poisson process of the rate `rate * level(t / seconds)` per second, until `seconds`.

    By thinning one of the largest rate (Lewis and Shedler 1979); levels are between 0 and 1.
    """
    at = rng.expovariate(rate)
    while at < seconds:
        if rng.random() < level(at / seconds):
            yield at
        at += rng.expovariate(rate)


def poisson(
    people: People,
    level: Callable[[float], float],
    rate: float,
    seconds: float,
    seed: int,
    models: Sequence[str],
) -> Iterator[Arrival]:
    """Conversations at random times, the same for equal seeds: `rate` is of the largest level."""
    when = times(level, rate, seconds, random.Random(f"{seed} times"))
    return zip(when, conversations(people, random.Random(f"{seed} people"), models), strict=False)


def replayed(
    records: Sequence[Recorded], people: People, speed: float, seed: int, models: Sequence[str]
) -> Iterator[Arrival]:
    """Recorded conversations at their times, `speed` times as fast, with the words of these people.

    A journal keeps no text. Of two records of one turn the later one is a regeneration. Requests
    for models that are not served go to the blend.
    """
    rng, found = random.Random(f"{seed} replay"), defaultdict[str, list[Recorded]](list)
    for record in records:
        found[record.conversation].append(record)
    for name, turns in found.items():
        first = turns[0]
        model = first.model if first.model in models else models[0]
        asks = tuple(_asks(turns, people, speed, rng))
        yield first.at_s / speed, Conversation(name, first.user, model, asks)


def part(arrivals: Iterator[Arrival], place: int, of: int) -> Iterator[Arrival]:
    """Every `of`-th arrival from `place` on: all workers together have every arrival once."""
    return islice(arrivals, place, None, of)


@cache
def read(path: Path) -> tuple[Recorded, ...]:
    """Records in the order of time: a journal's export (JSON lines, or Parquet by its suffix).

    A line needs `started_at` alone, in Unix seconds or ISO 8601.

    Raises:
        OSError: the file cannot be read; Parquet needs pyarrow.
        ValueError: it has no records, or one of them has no time.
    """
    try:
        rows = _parquet(path) if path.suffix == ".parquet" else _lines(path)
        ordered = sorted(((_seconds(row["started_at"]), row) for row in rows), key=lambda r: r[0])
    except (KeyError, TypeError, ValueError) as exc:
        sentence = f"{path}: every record must be a mapping with a time in 'started_at'"
        raise ValueError(f"{sentence}; {exc}.") from exc
    if not ordered:
        raise ValueError(f"{path} has no records; there is nothing to replay.")
    began = ordered[0][0]
    return tuple(_recorded(at - began, row, n) for n, (at, row) in enumerate(ordered))


def _recorded(at_s: float, row: dict[str, Any], number: int) -> Recorded:
    conversation = str(row.get("conversation") or f"replayed-{number}")
    return Recorded(
        at_s=at_s,
        conversation=conversation,
        user=str(row.get("user") or conversation),
        model=str(row.get("model") or ""),
        turn=row.get("turn"),
        streamed=row.get("stream"),
    )


def _asks(
    turns: Sequence[Recorded], people: People, speed: float, rng: random.Random
) -> Iterator[Ask]:
    answered: int | None = None
    for number, record in enumerate(turns):
        drawn = ask(people, rng, number)
        is_again = record.turn is not None and record.turn == answered
        streamed = drawn.streamed if record.streamed is None else record.streamed
        yield Ask(
            text="" if is_again else drawn.text,
            streamed=streamed,
            leave_after=drawn.leave_after if streamed else None,
            at_s=(record.at_s - turns[0].at_s) / speed,
        )
        answered = record.turn


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines() if line.strip()]


def _parquet(path: Path) -> list[dict[str, Any]]:
    try:
        from pyarrow import parquet
    except ImportError as exc:
        raise OSError(f"There is no pyarrow to read {path}; export JSON lines instead.") from exc
    names = {"started_at", "conversation", "user", "model", "turn", "stream"}
    there = [name for name in parquet.read_schema(path).names if name in names]
    rows: list[dict[str, Any]] = parquet.read_table(path, columns=there).to_pylist()
    return rows


def _seconds(value: Any) -> float:
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    return value.timestamp() if isinstance(value, datetime) else float(value)
