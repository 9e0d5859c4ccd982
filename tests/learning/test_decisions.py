"""From the journal to decisions, on either database."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from blended.errors import NotEnoughData
from blended.journal.records import FeedbackRecord, ResponseRecord
from blended.journal.store import Store
from blended.learning import gradient
from blended.learning.components import compare
from blended.learning.components_document import off
from blended.learning.decisions import Decisions
from blended.learning.drawing import weight_of_answer
from blended.learning.learned import learn
from blended.learning.learned_document import document
from blended.learning.reading import read
from tests.journal.samples import response
from tests.learning.journals import BEGIN, DAY_S, MIX, by_loop, conversations, thumbs

LATER = BEGIN + 30 * DAY_S


def decided(store: Store, now: float = LATER, **options: Any) -> Decisions:
    return read(store, 0, now, lambda _: None, **options)


def test_what_users_did_is_added_up_by_user_and_draw(store: Store) -> None:
    """The sums are those of a loop over the records, one by one."""
    records = conversations(40, np.random.default_rng(1))
    said = thumbs(records)
    store.add([*records, *said])
    found = decided(store)

    users = sorted({r.user or "" for r in records})
    names = ("responses", "regenerated", "continued", "turns_ahead", "thumbs")
    expected = {
        tuple(sums[name] for name in names)
        for user in users
        for drawn in MIX
        if (sums := by_loop(records, said, user, drawn))["responses"]
    }
    drawn = np.array([list(MIX).index(d.drawn) for d in found.drawings])[found.drawing]
    place = found.user * len(MIX) + drawn
    columns = [np.bincount(place, found.column(name)) for name in names]
    rows = np.column_stack(columns)[np.unique(place)]
    assert found.responses() == len(records)
    assert found.users == len(users)
    assert {tuple(row) for row in rows} == expected
    assert set(found.left_out.values()) == {0}


def test_a_response_is_looked_at_when_its_day_is_over(store: Store) -> None:
    """Until then nobody knows what its user will do, and all would look bad."""
    store.add([response(0, probabilities=MIX, drawn="b", left=list(MIX), propensity=0.25)])

    assert decided(store, BEGIN + DAY_S).responses() == 0
    assert decided(store, BEGIN + DAY_S + 1).responses() == 1


def test_what_comes_after_a_day_does_not_count(store: Store) -> None:
    """So that old responses do not look better than young ones."""
    record = response(0, probabilities=MIX, left=list(MIX), propensity=0.25)
    late = FeedbackRecord(record.response_id, BEGIN, "thumb", BEGIN + DAY_S + 1, value=1.0)
    store.add([record, late])

    assert decided(store).column("thumbs").sum() == 0


def test_a_response_that_failed_waited_until_it_failed(store: Store) -> None:
    """Its client waited, too: survivors alone would flatter a component that fails."""
    state = {"state": "failed_before_first_byte", "component": None, "propensity": None}
    store.add([response(0, ttft_s=None, e2e_s=30.0, left=None, probabilities=MIX, **state)])

    found = decided(store)
    assert found.column("waited_s").sum() == 30
    assert found.drawings[0].component is None


def test_what_was_not_drawn_among_several_is_left_out_and_counted(store: Store) -> None:
    """A named component, a request whose draw was a repetition, and an answer from no seat."""
    (first, *_) = conversations(1, np.random.default_rng(2))
    named = replace(first, response_id="named", user="0" * 32, probabilities={"a": 1.0})
    named = replace(named, distribution="one", conversation="another")
    again = replace(first, response_id="again", started_at=first.started_at + 1)
    seats = {"a": 0.5, "b": 0.5, "c": 0.0}
    seated = replace(named, response_id="seated", conversation="a third", probabilities=seats)
    failed = [{"component": "a", "reason": "unavailable"}, {"component": "b", "reason": "late"}]
    beyond: dict[str, Any] = {
        "distribution": "seats",
        "component": "c",
        "drawn": "a",
        "failures": failed,
    }
    store.add([first, named, again, replace(seated, **beyond)])

    found = decided(store)
    assert found.responses() == 1
    assert found.left_out == {"named": 1, "repeated": 1, "unseated": 1}


def test_records_without_those_left_are_weighed_where_the_propensity_tells(store: Store) -> None:
    """If it is the component's own probability nobody was out; if it is not, who was is unknown."""
    old: dict[str, Any] = {"left": None, "probabilities": MIX, "drawn": "b", "component": "b"}
    store.add([response(1, propensity=0.25, **old), response(2, turn=2, propensity=1 / 3, **old)])

    left = sorted((str(d.left) for d in decided(store).drawings), key=len)
    assert left[0] == "None"
    assert len(left) == 2


@pytest.mark.parametrize(
    ("failures", "left", "weight"),
    [
        ([], ["a", "b", "c"], 0.5 / 0.25),
        ([], ["b", "c"], (0.5 / 0.75) / (0.25 / 0.5)),
        ([{"component": "a", "reason": "late"}] * 2, ["b", "c"], (0.25 / 0.5) * (0.5 / 0.75) / 0.5),
    ],
)
def test_a_redrawn_response_is_weighed_by_those_that_were_left(
    store: Store, failures: list[dict[str, str]], left: list[str], weight: float
) -> None:
    """The mix would have drawn among them, too, after the same failures."""
    fields = {"drawn": "b", "component": "b", "probabilities": MIX, "failures": failures}
    store.add([response(1, left=left, propensity=0.25, **fields)])
    (drawing,) = decided(store).drawings

    mix = {"a": 0.25, "b": 0.5, "c": 0.25}
    assert weight_of_answer(drawing, mix) == pytest.approx(weight)
    assert weight_of_answer(drawing, {"a": 1.0}) == (0.0 if "a" in drawing.available else None)


def test_an_experiment_is_read_by_itself(store: Store) -> None:
    """Responses outside it are other users' or another time's."""
    rng = np.random.default_rng(3)
    inside = conversations(5, rng, experiment="try", arm="blend")
    outside = [
        replace(r, response_id=f"{r.response_id}-", user="f" * 32, conversation="other")
        for r in conversations(1, rng)
    ]
    store.add([*inside, *outside])

    assert decided(store, experiment="try").responses() == len(inside)
    assert decided(store).responses() == len(inside) + len(outside)


def faults(records: Iterable[ResponseRecord], store: Store) -> list[str]:
    """What the report says of the draws in a journal with these records."""
    store.add(list(records))
    decisions = decided(store)
    first = gradient.read(store, 0, LATER, decisions.components, DAY_S)
    found: list[str] = document(learn(decisions, first, {}), 0, LATER)["faults"]
    return found


def test_a_component_that_fails_is_no_fault_of_the_journal(store: Store) -> None:
    """It answers less often than the mix draws it, and was drawn as often as it should be."""
    rng = np.random.default_rng(7)
    failed: dict[str, Any] = {
        "component": "c",
        "propensity": 0.5,
        "left": ["b", "c"],
        "failures": [{"component": "a", "status": 503, "kind": "full"}],
    }
    records = conversations(400, rng, arm="blend")

    assert faults((replace(r, **failed) if r.drawn == "a" else r for r in records), store) == []


def test_draws_by_other_probabilities_than_the_journals_are_a_fault(store: Store) -> None:
    """A fifth of the draws of one component are another's: each report says so."""
    rng = np.random.default_rng(8)
    records = (
        replace(r, drawn="b", component="b", propensity=MIX["b"])
        if r.drawn == "a" and rng.random() < 0.2
        else r
        for r in conversations(600, rng, arm="blend")
    )
    found = " ".join(faults(records, store))

    assert "The mean weight of 'a alone' is 0.7" in found
    assert "components were not drawn with the probabilities in the journal" in found
    compared = compare(decided(store), "blend", MIX)
    assert [name for name, weight in compared.weights.items() if list(off(name, weight))] == list(
        "ab"
    )


def test_records_of_earlier_versions_alone_give_no_report(store: Store) -> None:
    """Where a component was out they do not tell which could be drawn; the error says so."""
    of_before = conversations(5, np.random.default_rng(9), left=None, propensity=0.4)

    with pytest.raises(NotEnoughData, match="are of earlier versions"):
        faults(of_before, store)


def test_a_policys_draws_have_their_own_probabilities(store: Store) -> None:
    """Each is weighed by those that its record has, in values and in gradients."""
    own = [{"a": 0.1, "b": 0.1, "c": 0.8}, {"a": 0.6, "b": 0.2, "c": 0.2}]
    store.add(
        [
            response(
                number,
                user=f"{number:032x}",
                policy="friends-1@0123456789ab",
                distribution=f"d{number}",
                probabilities=given,
                drawn="a",
                component="a",
                left=list(given),
            )
            for number, given in enumerate(own)
        ]
    )
    found = decided(store)
    first = gradient.read(store, 0, LATER, found.components, DAY_S)

    assert sorted(d.probabilities["c"] for d in found.drawings) == [0.2, 0.8]
    weights = [weight_of_answer(drawing, {"a": 1.0}) or 0 for drawing in found.drawings]
    assert sorted(weights) == pytest.approx([1 / 0.6, 10])
    assert sorted(first.scores[:, 0]) == pytest.approx([1 / 0.6 - 1, 9])
