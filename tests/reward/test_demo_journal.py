"""Simulated users of the demo: their answers have the faults that they say, and are drawn again."""

import random
from collections import Counter
from itertools import pairwise

import pytest

from blended.demo import corpus
from blended.demo.corpus import PERSONAS, Turn
from blended.reward import demo_journal
from blended.reward.demo_journal import FAULTS, Fault, records

RECALL = Turn(("recall_name",), "Who am I?", {"name": "Robin"})
BEFORE = "Hello Robin! It is so lovely to meet you!"


@pytest.mark.parametrize("fault", dict.fromkeys(FAULTS))
def test_a_fault_is_in_the_answer(fault: Fault) -> None:
    """Whoever gives it: none is the right answer to who one is, and none is empty."""
    rng = random.Random(0)
    texts = [fault(rng.choice(PERSONAS), RECALL, BEFORE, rng) for _ in range(200)]

    found = [text for text in texts if text]
    assert len(found) > 50
    right = [text for text in found if "Robin" in text]
    if fault is demo_journal.repeats:
        assert set(found) == {BEFORE}
    elif fault is demo_journal.breaks_off:
        assert not any(text.endswith((".", "!", "?")) for text in found)
    elif fault in (demo_journal.strays, demo_journal.forgets):
        # A voice may address the user by name, whatever it speaks of.
        assert not any(text.startswith(("You are", "Your name", "Yes, ")) for text in found)
    elif fault is demo_journal.garbles:
        assert len(right) < 0.5 * len(found)  # a doubled last letter leaves the name in it
    else:
        assert right == []


def test_answers_with_a_fault_are_drawn_again() -> None:
    """Of 4,000 answers without one 5 % are, of those with one 80 %, within 5 standard errors."""
    rng = random.Random(1)
    faulty = Counter(
        demo_journal.answer(rng.choice(PERSONAS), RECALL, BEFORE, rng)[1] for _ in range(4_000)
    )
    assert faulty[True] / 4_000 == pytest.approx(0.35, abs=0.04)

    made = list(records(800, 1, 0.0))
    again = sum(one.lineage == other.lineage for one, other in pairwise(made))
    # .65 * .05 + .35 * .8, less the last ones of three in a row.
    assert again / len(made) == pytest.approx(0.29, abs=0.03)


def test_a_journal_is_the_same_for_the_same_seed() -> None:
    """Users come in order over four weeks, and each has own hashes."""
    one, same, other = (list(records(20, seed, 0.0)) for seed in (1, 1, 2))

    assert one == same
    assert {r.user for r in one}.isdisjoint(r.user for r in other)
    assert len({r.response_id for r in one}) == len(one)
    assert max(r.started_at for r in one) < 29 * 86_400


def test_kept_answers_are_in_the_history() -> None:
    """Only those: what was drawn again is nowhere but in its own record."""
    *_, last = records(1, 5, 0.0)
    assert last.content is not None
    history = last.content["messages"]

    assert [m["role"] for m in history[:2]] == ["user", "assistant"][: len(history)]
    assert corpus.PERSONAS == ("ember", "flint", "willow")
    kept = {r.turn: r.content["response"][0] for r in records(1, 5, 0.0) if r.content}
    assert [m["content"] for m in history if m["role"] == "assistant"] == [
        kept[turn] for turn in range(1, last.turn)
    ]
