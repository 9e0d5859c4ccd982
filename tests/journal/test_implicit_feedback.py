"""Which responses were retried and continued: the rule, and that no order of arrival changes it."""

import threading
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from blended.journal.implicit_feedback import ANSWERED, HORIZON_S, AskedResponse, derive
from blended.journal.records import FeedbackRecord, Record, ResponseRecord
from blended.journal.store import Store
from blended.journal.tables import feedback
from tests.journal.databases import rows
from tests.journal.samples import response

# In the last second of a month, so that a few seconds more are another partition.
BEGIN = 1_793_491_199.0
USER = "u"


def asked(name: str, at: float, lineage: str | None, parent: str | None = None) -> AskedResponse:
    return AskedResponse(name, at, lineage, parent, "finished", 1.0)


def told(responses: list[AskedResponse]) -> dict[tuple[str, str], str | None]:
    """What is derived, by response and kind: the other response."""
    return {(f.response_id, f.kind): f.other_id for f in derive(responses)}


@pytest.mark.parametrize(
    ("responses", "expected"),
    [
        ([asked("a", 1, "A"), asked("b", 2, "A")], {("a", "retry"): "b"}),
        ([asked("a", 1, "A"), asked("b", 2, "B", "A")], {("a", "continued"): "b"}),
        ([asked("a", 1, "A"), asked("b", 1, "A")], {}),
        ([asked("a", 1, None), asked("b", 2, None)], {}),
        ([asked("a", 1, "A")._replace(state="failed_after_first_byte"), asked("b", 2, "A")], {}),
        ([asked("a", 1, "A"), asked("b", 2, "A")._replace(state="failed_before_first_byte")], {}),
        ([asked("a", 1, "A"), asked("b", 2 + HORIZON_S, "A")], {}),
        (
            [asked("a", 1, "A"), asked("b", 2, "A"), asked("c", 3, "A")],
            {("a", "retry"): "b", ("b", "retry"): "c"},
        ),
        (
            [asked("a", 1, "A"), asked("b", 2, "A"), asked("c", 3, "C", "A")],
            {("a", "retry"): "b", ("b", "continued"): "c"},
        ),
        (
            [asked("a", 1, "A"), asked("b", 2, "B", "A"), asked("c", 3, "C", "A")],
            {("a", "continued"): "b"},
        ),
        (
            [asked("a", 1, "A"), asked("b", 2, "B", "A"), asked("c", 3, "A")],
            {("a", "continued"): "b", ("a", "retry"): "c"},
        ),
        (
            [
                asked("a", 1, "A"),
                asked("b", 2, "B", "A")._replace(state="failed_before_first_byte"),
                asked("c", 3, "B", "A"),
            ],
            {("a", "continued"): "b"},
        ),
    ],
    ids=[
        "the same history again is a retry",
        "a history that builds on another continues it",
        "simultaneous responses are unrelated",
        "without a lineage nothing is known",
        "a failure is not retried",
        "a failure replaces nothing",
        "who comes back later is not looked for",
        "in a chain each replaces the one before",
        "the latest answer is the one continued",
        "the first to continue counts",
        "both may happen",
        "a message continues whatever becomes of it",
    ],
)
def test_feedback_follows_from_the_order(
    responses: list[AskedResponse], expected: dict[tuple[str, str], str]
) -> None:
    """By the rule, also if they are given in another order."""
    assert told(responses) == told(responses[::-1]) == expected


def test_feedback_tells_when_and_after_how_long() -> None:
    """The pause runs from a response's end; somebody who did not wait for it paused 0 seconds."""
    soon, late = (derive([asked("a", 1, "A"), asked("b", at, "B", "A")])[0] for at in (1.5, 5))

    assert late == FeedbackRecord("a", 1, "continued", at=5, value=3.0, other_id="b")
    assert (soon.at, soon.value) == (1.5, 0.0)


def by_the_rule(responses: list[AskedResponse]) -> dict[tuple[str, str], str | None]:
    """The definition, word by word and slowly."""
    found = dict[tuple[str, str], str | None]()
    for s in sorted(responses, key=lambda r: (r.started_at, r.response_id)):
        for kind, history in (("continued", s.parent), ("retry", s.lineage)):
            earlier = [
                (p.started_at, p.response_id)
                for p in responses
                if p.started_at < s.started_at
                and p.state in ANSWERED
                and p.lineage == history is not None
            ]
            if not earlier or (kind == "retry" and s.state not in ANSWERED):
                continue
            at, name = max(earlier)
            if s.started_at - at <= HORIZON_S:
                found.setdefault((name, kind), s.response_id)
    return found


@st.composite
def journals(draw: st.DrawFn) -> list[Record]:
    """Responses of few histories and close times, and what clients said about them."""
    histories = st.sampled_from([None, "A", "B", "C"])
    distances = st.sampled_from([0.0, 0.5, 1.0, 2.0, HORIZON_S, HORIZON_S + 0.5])
    states = st.sampled_from(["finished", "finished", "cancelled", "failed_before_first_byte"])
    records: list[Record] = []
    for number in range(draw(st.integers(1, 8))):
        at = BEGIN + draw(distances)
        one = response(
            response_id=f"chatcmpl-{round(at * 1000):012x}{number:020x}",
            started_at=at,
            user=USER,
            lineage=draw(histories),
            parent=draw(histories),
            state=draw(states),
            e2e_s=draw(st.sampled_from([0.1, 1.5])),
        )
        records.append(one)
        records += draw(st.lists(_given(one), max_size=2))
    return records


def _given(on: ResponseRecord) -> st.SearchStrategy[FeedbackRecord]:
    return st.builds(
        FeedbackRecord,
        st.just(on.response_id),
        st.just(on.started_at),
        st.sampled_from(["retry", "thumb"]),
        at=st.sampled_from([1.0, 2.0]),
        value=st.sampled_from([None, -1.0, 1.0]),
        other_id=st.sampled_from([None, "x", "y"]),
    )


@given(journals())
def test_deriving_is_by_the_rule(records: list[Record]) -> None:
    """Whatever the responses."""
    responses = _asked(records)

    assert told(responses) == by_the_rule(responses)


@given(journals(), st.randoms(use_true_random=False))
@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_the_order_of_arrival_does_not_matter(
    store: Store, records: list[Record], rng: Random
) -> None:
    """Any permutation, in any batches, some of them twice: the same feedback in the end."""
    store.forget(USER)
    for batch in _batches(records, rng):
        store.add(batch)

    assert kept(store) == expected(records)


def _batches(records: list[Record], rng: Random) -> list[list[Record]]:
    arrivals = [*records, *rng.sample(records, rng.randint(0, len(records)))]
    rng.shuffle(arrivals)
    cuts = sorted(rng.sample(range(len(arrivals) + 1), rng.randint(0, min(4, len(arrivals)))))
    ends = [*cuts, len(arrivals)]
    return [arrivals[a:b] for a, b in zip([0, *cuts], ends, strict=True)]


def test_routers_that_write_at_once_miss_nothing(url: str, opened: Callable[..., Store]) -> None:
    """Each has some of a user's responses; together they derive as one would alone."""
    chain: list[Record] = [
        response(n, started_at=BEGIN + n, user=USER, lineage=f"{n % 7}", parent=f"{(n - 1) % 7}")
        for n in range(200)
    ]
    Random(3).shuffle(chain)
    stores = [opened(url, patience_s=60) for _ in range(4)]
    stores[0].migrate()
    threads = [
        threading.Thread(target=_add_all, args=(store, chain[number::4]))
        for number, store in enumerate(stores)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert kept(stores[0]) == expected(chain)


def _add_all(store: Store, records: list[Record]) -> None:
    for start in range(0, len(records), 5):
        store.add(records[start : start + 5])


def _asked(records: list[Record]) -> list[AskedResponse]:
    answers = [record for record in records if isinstance(record, ResponseRecord)]
    return [
        AskedResponse._make(getattr(r, name) for name in AskedResponse._fields) for r in answers
    ]


def kept(store: Store) -> set[FeedbackRecord]:
    """All feedback in the journal."""
    dropped = {"derived"}
    mappings = (row._mapping for row in rows(store, feedback))
    return {FeedbackRecord(**{k: v for k, v in m.items() if k not in dropped}) for m in mappings}


def expected(records: list[Record]) -> set[FeedbackRecord]:
    """What is derived, unless a client has said it, and the latest that clients have said."""
    best = {(f.response_id, f.kind): f for f in derive(_asked(records))}
    given = [record for record in records if isinstance(record, FeedbackRecord)]
    best |= {(f.response_id, f.kind): f for f in sorted(given, key=_rank)}
    return set(best.values())


def _rank(given: FeedbackRecord) -> tuple[float, float, str]:
    return given.at, given.value or 0, given.other_id or ""
