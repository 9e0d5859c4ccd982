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
    "waited_s",
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
            "active_s": (10 - 2.5) + (40 - 2.5),
            "waited_s": 4 * 2.5,
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


def test_a_session_belongs_to_the_day_on_which_it_began(store: Store) -> None:
    """Days end at midnight in UTC, to the millisecond; who stays up does not come back."""
    times = (MIDNIGHT - 0.001, MIDNIGHT + 500, MIDNIGHT + 86_399.999, MIDNIGHT + 86_400)
    store.add([response(n, started_at=at, user="u", e2e_s=1.0) for n, at in enumerate(times)])

    found = [brief(row, "day", "responses", "waited_s") for row in days(store)]
    assert found == [(DAY - 1, 2, 2.0), (DAY, 2, pytest.approx(1.001))]


def test_a_session_that_never_ends_belongs_to_its_days(store: Store) -> None:
    """Six hours after midnight at the latest a new day has begun, whatever is asked for at once."""
    times = [MIDNIGHT - 300 + 500 * n for n in range(400)]
    store.add([response(n, started_at=at, user="u", e2e_s=1.0) for n, at in enumerate(times)])
    daily = [days(store, MIDNIGHT + 86_400 * n, MIDNIGHT + 86_400 * (n + 1)) for n in range(-1, 3)]

    # Until 6:00, from 6:00 on, and the two days after that.
    assert [row["responses"] for row in days(store)] == [44, 130, 173, 53]
    assert [[row["day"] for row in rows] for rows in daily] == [
        [DAY - 1],
        [DAY],
        [DAY + 1],
        [DAY + 2],
    ]


def test_days_may_begin_at_midnight_of_another_zone(store: Store) -> None:
    """An hour ahead of UTC the day begins at 23:00 UTC."""
    times = (MIDNIGHT - 3600.001, MIDNIGHT - 3600 + GAP_S)
    store.add([response(n, started_at=at, user="u") for n, at in enumerate(times)])
    query = user_days(0, 1e10, GAP_S / 2, offset_s=3600.0)

    assert [row.day for rows in store.stream(query, 10) for row in rows] == [DAY - 1, DAY]


def test_only_a_users_own_time_is_active(store: Store) -> None:
    """Ten seconds more of waiting for each response leave it as it is."""
    for user, wait_s in (("fast", 2.0), ("slow", 12.0)):
        times = [MIDNIGHT + n * (30 + wait_s) for n in range(5)]
        store.add(
            [
                response(response_id=f"{user}-{n}", started_at=at, user=user, e2e_s=wait_s)
                for n, at in enumerate(times)
            ]
        )

    assert [brief(row, "user", "active_s", "waited_s") for row in days(store)] == [
        ("fast", 4 * 30.0, 5 * 2.0),
        ("slow", 4 * 30.0, 5 * 12.0),
    ]


def test_failures_are_as_slow_as_their_clients_waited(store: Store) -> None:
    """Until they gave up or were told; a request that was refused has not waited for anything."""
    states = ("finished", "failed_before_first_byte", "cancelled", "refused")
    store.add(
        [
            response(
                n,
                started_at=MIDNIGHT + n,
                user="u",
                state=state,
                e2e_s=8.0,
                ttft_s=None if n else 0.05,
            )
            for n, state in enumerate(states)
        ]
    )

    [row] = days(store)
    assert brief(row, "ttft_s", "ttft_responses") == (0.05 + 8 + 8, 3)


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


def test_a_session_is_counted_whole_where_it_began(store: Store) -> None:
    """The rows do not depend on where the time that is asked for ends."""
    times = (MIDNIGHT, MIDNIGHT + 100, MIDNIGHT + 100 + GAP_S)
    store.add([response(n, started_at=at, user="u", e2e_s=1.0) for n, at in enumerate(times)])

    for until in (MIDNIGHT + 50, MIDNIGHT + 5000):
        (row,) = days(store, until=until)
        assert brief(row, "responses", "active_s", "waited_s") == (3, 99.0 + GAP_S - 1, 3.0)
    assert days(store, since=MIDNIGHT + 50) == []
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
    assert abs(day["active_s"] + day["waited_s"] - (9 * 60 + 2.5)) <= GAP_S


def test_tokens_are_those_that_users_saw(store: Store) -> None:
    """Those of candidates that were not chosen cost engines, and are nothing that a user read."""
    judged = {"k": 4, "rejected_tokens": 30}
    unknown = {"k": 4, "rejected_tokens": None}
    found = [
        response(number, user="u", completion_tokens=40, candidates=candidates)
        for number, candidates in enumerate((None, judged, unknown))
    ]
    store.add(found)

    [row] = days(store)
    assert row["completion_tokens"] == 40 + 10 + 40
