"""Users' days, counted by hand."""

from typing import Any

import pytest

from blended.journal.queries import user_days
from blended.journal.store import Store
from tests.journal.samples import response

DAY = 20_000
MIDNIGHT = DAY * 86_400.0
GAP_S = 600.0
NAMES = (
    "user",
    "day",
    "experiment",
    "arm",
    "responses",
    "turns",
    "conversations",
    "first_at",
    "last_at",
    "active_s",
    "prompt_tokens",
    "completion_tokens",
    "retries",
    "failures",
    "ttft_s",
    "ttft_responses",
    "repetition",
    "repetition_responses",
    "engine_s",
)


def days(store: Store, since: float = 0, until: float = 1e10) -> list[dict[str, Any]]:
    """The rows of the query, by user, day and arm."""
    batches = store.stream(user_days(since, until, GAP_S, engines={"b": 2.0}), 10)
    found = [dict(row._mapping) for rows in batches for row in rows]
    return sorted(found, key=lambda row: (row["user"], row["day"], row["arm"] or ""))


def brief(row: dict[str, Any], *names: str) -> tuple[Any, ...]:
    return tuple(row[name] for name in names)


def test_a_users_day_is_summed_up(store: Store) -> None:
    """One user, two conversations, a retry, a failure, and a pause too long for one session."""
    times = (10.0, 20.0, 60.0, 1000.0)
    first, retry, second, failed = (
        response(
            number,
            started_at=MIDNIGHT + at,
            user="u",
            experiment="e",
            arm="a",
            conversation="c" if number < 2 else "d",
            lineage="A" if number < 2 else f"{number}",
            e2e_s=2.5,
            prompt_tokens=100,
            completion_tokens=7 if number else None,
            state="finished" if number < 3 else "failed_before_first_byte",
            turn=1 if number < 3 else 2,
            component="a" if number else "b",
            repetition=None if number else 0.5,
        )
        for number, at in enumerate(times)
    )
    store.add([first, retry, second, failed])

    assert days(store) == [
        {
            "user": "u",
            "day": DAY,
            "experiment": "e",
            "arm": "a",
            "responses": 4,
            "turns": 2,
            "conversations": 2,
            "first_at": MIDNIGHT + 10,
            "last_at": MIDNIGHT + 1000,
            "active_s": 10 + 40 + 2.5 + 2.5,
            "prompt_tokens": 400,
            "completion_tokens": 21,
            "retries": 1,
            "failures": 1,
            "ttft_s": 4 * 0.05,
            "ttft_responses": 4,
            "repetition": 0.5,
            "repetition_responses": 1,
            "engine_s": 3 * (2.5 - 0.001) + 2 * (2.5 - 0.001),
        }
    ]
    assert tuple(days(store)[0]) == NAMES


def test_days_end_at_midnight_in_utc(store: Store) -> None:
    """To the millisecond; a session that goes on counts where its responses started."""
    times = (MIDNIGHT - 0.001, MIDNIGHT, MIDNIGHT + 86_399.999, MIDNIGHT + 86_400)
    store.add([response(n, started_at=at, user="u", e2e_s=1.0) for n, at in enumerate(times)])

    found = [brief(row, "day", "responses") for row in days(store)]
    assert found == [(DAY - 1, 1), (DAY, 2), (DAY + 1, 1)]
    assert [round(row["active_s"], 6) for row in days(store)] == [0.001, 1.001, 1.0]


def test_users_and_arms_are_apart(store: Store) -> None:
    """Somebody who is in two arms on a day has two rows; nobody in particular has none."""
    store.add(
        [
            response(1, user="u", arm="a"),
            response(2, user="u", arm="b"),
            response(3, user="u"),
            response(4, user="v", arm="a"),
            response(5, user=None),
        ]
    )

    assert [brief(row, "user", "arm") for row in days(store)] == [
        ("u", None),
        ("u", "a"),
        ("u", "b"),
        ("v", "a"),
    ]


def test_a_session_that_goes_on_afterwards_is_counted_to_the_next_response(store: Store) -> None:
    """The rows do not depend on where the time that is asked for ends."""
    times = (MIDNIGHT, MIDNIGHT + 100, MIDNIGHT + 100 + GAP_S)
    store.add([response(n, started_at=at, user="u", e2e_s=1.0) for n, at in enumerate(times)])

    (row,) = days(store, until=MIDNIGHT + 50)
    assert brief(row, "responses", "active_s") == (1, 100.0)
    (row,) = days(store, since=MIDNIGHT + 50)
    assert brief(row, "responses", "active_s") == (2, GAP_S + 1)
    assert days(store, until=MIDNIGHT) == []


@pytest.mark.parametrize("jump_s", [-3600.0, 3600.0])
def test_a_clock_that_is_set_costs_a_session_at_most_a_gap(store: Store, jump_s: float) -> None:
    """Ten minutes of a user, in the middle of whom the clock jumps by an hour."""
    times = [60.0 * n + (jump_s if n >= 5 else 0) for n in range(10)]
    records = [
        response(n, started_at=MIDNIGHT + 7200 + at, user="u", e2e_s=2.5)
        for n, at in enumerate(times)
    ]
    store.add(records)
    [day] = days(store)

    assert day["responses"] == 10
    assert abs(day["active_s"] - (9 * 60 + 2.5)) <= GAP_S
