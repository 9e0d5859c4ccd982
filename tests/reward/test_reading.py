"""From the journal to pairs and points, on SQLite and on PostgreSQL."""

from typing import Any

import pytest

from blended.errors import NotEnoughData
from blended.journal.records import FeedbackRecord, ResponseRecord
from blended.journal.store import Store
from blended.reward.examples import Examples
from blended.reward.reading import read
from blended.reward.transcript import transcript
from tests.journal.samples import response

BEGIN = response(0).started_at
LATER = BEGIN + 10 * 86_400.0
HISTORY = [{"role": "user", "content": "Hi!"}]


def said(number: int, text: str = "", **fields: Any) -> ResponseRecord:
    """A finished response with its texts; those of one user are to one history."""
    lineage = f"history of {fields.get('user')}"
    values = {"lineage": lineage, "content": content(text or f"Answer {number}.")}
    return response(number, **(values | fields))


def content(text: str, history: Any = HISTORY) -> dict[str, Any]:
    return {"messages": history, "response": [text]}


def feedback(number: int, kind: Any, **fields: Any) -> FeedbackRecord:
    one = response(number)
    return FeedbackRecord(one.response_id, one.started_at, kind, one.started_at + 60, **fields)


def examples(store: Store, *records: ResponseRecord | FeedbackRecord, **options: Any) -> Examples:
    store.add(records)
    return read(store, 0.0, LATER, **options)


def test_a_retry_is_a_pair(store: Store) -> None:
    """Who, when, both texts with their history, and both components."""
    first, second = said(0, component="a"), said(1, component="b")

    found = examples(store, first, second)

    (pair,) = found.pairs
    assert (pair.user, pair.at) == (first.user, first.started_at)
    assert pair.rejected.text == transcript(HISTORY, "Answer 0.")
    assert pair.kept.text == transcript(HISTORY, "Answer 1.")
    assert (pair.rejected.component, pair.kept.component) == ("a", "b")
    assert not pair.is_within
    assert (found.retries, found.users) == (1, 1)


def test_only_the_answer_that_was_kept_in_the_end_is_better(store: Store) -> None:
    """Of three answers in a row nobody knows whether the second was better than the first."""
    found = examples(store, said(0), said(1), said(2))

    assert [pair.kept.text[-9:] for pair in found.pairs] == ["Answer 2."]
    assert [pair.rejected.text[-9:] for pair in found.pairs] == ["Answer 1."]
    assert found.retries == 2


@pytest.mark.parametrize(
    "spoiled",
    [
        said(1, state="cancelled"),
        said(1, content=None),
        said(1, "Answer 0."),
        said(1, "  "),
        said(1, content={"prompt": "Hi!", "response": ["Answer 1."]}),
        said(1, content=content("Answer 1.", [{"role": "user", "content": "Bye!"}])),
        feedback(1, "edit", value=0.5),
        feedback(1, "thumb", value=-1.0),
    ],
)
def test_what_was_not_kept_makes_no_pair(
    spoiled: ResponseRecord | FeedbackRecord, store: Store
) -> None:
    """Beside it is one pair, which stays: cancelled, without texts, equal, empty, no chat, of
    another history, edited, disliked."""
    pair = said(7, user="6a" * 16), said(8, user="6a" * 16)
    kept = spoiled if isinstance(spoiled, ResponseRecord) else said(1)

    found = examples(store, *pair, said(0), kept)
    if isinstance(spoiled, FeedbackRecord):
        assert len(found.pairs) == 2
        found = examples(store, spoiled)

    assert [one.user for one in found.pairs] == ["6a" * 16]
    assert found.retries == 2


def test_clients_may_name_what_replaces_a_response(store: Store) -> None:
    """Their feedback has a time of its own, and goes by the id."""
    found = examples(
        store,
        said(0, lineage=None, user=None),
        said(1, lineage=None, user=None),
        feedback(0, "retry", other_id=response(1).response_id),
    )

    (pair,) = found.pairs
    assert pair.user == response(0).conversation


def test_points_are_thumbs_and_two_more_turns(store: Store) -> None:
    """A response that was drawn again is none; one that was edited is not good."""
    turns = [said(10 + n, lineage=f"{n}", turn=1 + n, user="7b" * 16) for n in range(4)]
    found = examples(
        store,
        *(said(0), said(1)),
        *turns,
        feedback(11, "edit", value=0.5),
        feedback(12, "thumb", value=1.0),
        feedback(1, "thumb", value=1.0),
    )

    points = [(p.answer.text[-10:].strip(), p.sign, p.is_good) for p in found.points]
    assert points == [
        ("Answer 1.", "thumb", True),
        ("Answer 10.", "two_more", True),
        ("Answer 11.", "two_more", False),
        ("Answer 12.", "thumb", True),
        ("Answer 13.", "two_more", False),
    ]


def test_two_more_turns_are_those_of_a_day(store: Store) -> None:
    """A user who comes back later has not gone on."""
    late: dict[str, Any] = {"started_at": BEGIN + 2 * 86_400.0, "turn": 3, "lineage": "late"}
    found = examples(store, said(0), said(1), said(2, **late))

    assert [point.is_good for point in found.points] == [False, False]


def test_responses_that_are_younger_than_a_day_wait(store: Store) -> None:
    """Nobody knows yet whether they will be drawn again; those before `since` are over."""
    store.add([said(0), said(1)])

    for since, now in ((0.0, BEGIN + 86_400.0), (BEGIN + 2, LATER)):
        with pytest.raises(NotEnoughData, match="no texts of responses that are a day old"):
            read(store, since, now)


def test_a_part_of_a_large_journal_is_read(store: Store) -> None:
    """Of 400 retries about 100: fewer than 60 or more than 140 once in 100,000 journals."""
    users = [f"{number:032x}" for number in range(400)]
    for place, user in enumerate(users):
        ids = [
            f"chatcmpl-{place * 7919 % 65536:028x}{place * 163 % 65536:04x}",
            f"chatcmpl-{place:032x}ff",
        ]
        store.add([said(2 * place + n, user=user, response_id=ids[n]) for n in (0, 1)])

    found = read(store, 0.0, LATER, most=100)

    assert found.retries == 400
    assert 60 <= len(found.pairs) <= 140
    assert read(store, 0.0, LATER, most=100) == found
    assert len(read(store, 0.0, LATER, most=400).pairs) == 400


def test_a_journal_without_texts_or_without_retries_is_said(store: Store) -> None:
    """What is missing, and how to get it."""
    with pytest.raises(NotEnoughData, match="no texts of responses"):
        examples(store, said(0, content=None), said(1, content=None))
    with pytest.raises(NotEnoughData, match=r"texts of 1 responses, and 1 were drawn again; but"):
        examples(store, said(9, lineage="another"))
