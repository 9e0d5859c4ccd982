"""From the journal to what a policy is fitted to."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blended.errors import NotEnoughData
from blended.journal.records import FeedbackRecord
from blended.journal.store import Store
from blended.learning import features
from blended.learning.features import Facts
from blended.learning.policy_rows import Rows, read
from blended.router.selection import SelectionDistribution
from tests.journal.journals import database, journal
from tests.journal.samples import response
from tests.learning.journals import BEGIN, DAY_S, MIX
from tests.learning.policies import kept, policy
from tests.support import blend, eventually, rig

LATER = BEGIN + 30 * DAY_S
FACTS = Facts(2, 3, "c", 4.0, False)
TEXTS = {"messages": [{"role": "user", "content": "What a sun!"}], "response": ["Yes."]}


def record(number: int, **fields: Any) -> Any:
    values: dict[str, Any] = {
        "user": f"{number:032x}",
        "conversation": f"{number:032x}",
        "probabilities": MIX,
        "drawn": "b",
        "facts": FACTS.to_json(),
        "content": TEXTS,
    }
    return response(number, **values | fields)


def rows(store: Store, now: float = LATER) -> Rows:
    return read(store, 0, now, lambda _: None)


def test_a_row_has_what_was_known_and_what_followed(store: Store) -> None:
    """The rewards are those of the report; a draw by a policy has its own probabilities."""
    given = {"a": 0.1, "b": 0.1, "c": 0.8}
    first, second = record(1), record(2, drawn="c", probabilities=given, content=None)
    retry = FeedbackRecord(first.response_id, first.started_at, "retry", first.started_at + 5)
    store.add([first, second, retry])
    found = rows(store)

    order = np.argsort([found.users[place] for place in found.user])
    assert found.components == ("a", "b", "c")
    assert [found.components[place] for place in found.drawn[order]] == ["b", "c"]
    assert found.propensity[order].tolist() == [0.25, 0.8]
    assert found.rewards["kept"][order].tolist() == [0, 1]
    assert found.facts[order].tolist() == [features.vector(FACTS, found.components)] * 2
    assert found.texts == 1
    terms = found.words[order[:1]].toarray()[0]
    assert np.flatnonzero(terms).tolist() == sorted(features.rows(["what", "a", "sun"]).tolist())
    assert set(found.left_out.values()) == {0}


def test_responses_of_which_a_policy_could_not_know_are_left_out(store: Store) -> None:
    """They are counted by reason."""
    alike = [record(number) for number in range(3)]
    old = {**FACTS.to_json(), "version": 0}
    store.add(
        [
            *alike,
            record(10, probabilities={"b": 1.0}),
            record(11, facts=None),
            record(12, facts=old),
            record(13, probabilities={"b": 0.5, "c": 0.5}),
            record(14, user=None),
        ]
    )

    found = rows(store)
    assert len(found.drawn) == 3
    assert found.left_out == {"named": 1, "repeated": 0, "unrecalled": 2, "partial": 1}


def test_without_any_the_reason_is_said(store: Store) -> None:
    """An empty journal, one that is too young, and one without facts."""
    with pytest.raises(NotEnoughData, match="can be learned from"):
        rows(store)
    store.add([record(1, facts=None)])
    with pytest.raises(NotEnoughData, match="can be learned from"):
        rows(store, BEGIN + 5)
    with pytest.raises(NotEnoughData, match="1 whose facts are not in the journal"):
        rows(store)


def test_no_user_is_in_two_parts(store: Store) -> None:
    """Six tenths to learn from, two that choose the policy, and two that judge it."""
    store.add([record(number) for number in range(500)])
    found = rows(store)
    parts = [found.train(), found.choose(), found.held_out()]

    users = [set(part.users) for part in parts]
    assert set.union(*users) == set(found.users)
    assert sum(map(len, users)) == 500
    assert set(found.met().users) == users[0] | users[1]
    for part, size in zip(parts, (300, 100, 100), strict=True):
        # The odds of this are one in a million.
        assert abs(len(part.users) - size) < 60
        assert len(part.drawn) == len(part.users) == part.words.shape[0]


async def test_the_fit_has_what_the_router_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A policy, read from the journal's rows, gives what was recorded: nothing lies between."""
    monkeypatch.setenv("BLENDED_STATE_DIR", str(tmp_path))
    words = {"sun": "a", "rain": "b", "snow": "c"}
    made = kept(tmp_path, policy(words=words, after={"a": "b", "c": "a"}, temperature=0.3))
    config = blend("a", "b", "c", selection={"policy": made.reference})
    rng = np.random.default_rng(1)
    with journal(tmp_path, keep_content=True) as keeping:
        async with rig(config, keeping) as r:
            for number in range(30):
                history: list[dict[str, Any]] = []
                for _ in range(3):
                    text = " ".join(rng.choice([*words, "fog"], int(rng.integers(1, 4))))
                    history.append({"role": "user", "content": text})
                    headers = {"X-User-ID": f"u{number}", "X-Conversation-ID": f"c{number}"}
                    said = await r.chat(messages=history, headers=headers)
                    history.append(said.json()["choices"][0]["message"])
            await eventually(lambda: len(r.records) == 90)
        now = max(record.started_at for record in r.records) + DAY_S + 1
    store = Store(database(tmp_path))
    found = rows(store, now)
    store.close()

    again = made.probabilities(made.rewards(found.facts, found.words @ made.words))
    assert np.abs(again - found.logged).max() < 1e-9
    assert len({SelectionDistribution(made.components, tuple(one)).version for one in again}) > 5
