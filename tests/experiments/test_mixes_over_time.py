"""What an adaptive arm drew by, from its records; and how its definition is kept."""

from typing import Any

import pytest

from blended.experiments.definition import ArmDefinition, Definition
from blended.experiments.mixes_over_time import by_day, drawn_mixes, in_force, mean_shares
from blended.journal.records import ResponseRecord
from blended.journal.store import Store
from blended.router.selection import normalise
from tests.journal.samples import response

DAY_S = 86_400.0
START = 20_000 * DAY_S
UNIFORM = {"a": 0.5, "b": 0.5}
TILTED = {"a": 0.25, "b": 0.75}


def definition(*arms: ArmDefinition) -> Definition:
    values: dict[str, Any] = {
        "name": "test",
        "salt": "test",
        "layer": "default",
        "users": (0, 1),
        "eligible": "all",
        "start": START,
        "end": START + 60 * DAY_S,
        "control": "uniform",
        "arms": arms or (ArmDefinition("moving", 1.0, {}, adaptive=True),),
        "gpus": {"a": 1, "b": 0},
        "session_gap_s": 1800,
        "day_s": DAY_S,
        "simulated": False,
    }
    return Definition(**values)


def drawn(day: float, shares: dict[str, float], **fields: Any) -> ResponseRecord:
    """A response of the moving arm, so many days after the start."""
    distribution = normalise(shares)
    return response(
        round(day * DAY_S),
        started_at=START + day * DAY_S,
        experiment="test",
        arm="moving",
        distribution=distribution.version,
        probabilities=distribution.by_component,
        **fields,
    )


def test_definitions_without_adaptive_arms_keep_their_versions() -> None:
    """They are written as they were before there were any, and those are read."""
    arms = ArmDefinition("a", 0.5, {"x": 1.0}), ArmDefinition("b", 0.5, {"x": 0.5, "y": 0.5}, 2)
    old = Definition(
        **{
            **vars(definition(*arms)),
            "start": 1000.0,
            "end": 2000.0,
            "control": "a",
            "gpus": {"x": 1, "y": 0},
            "day_s": 86400,
        }
    )

    assert old.version == "5eb15bdcae07"
    assert all("adaptive" not in arm for arm in old.to_json()["arms"])
    assert Definition.from_json(old.to_json()) == old


def test_an_adaptive_arm_is_read_as_it_was_written() -> None:
    """It says so, and has no probabilities."""
    found = definition()

    assert found.to_json()["arms"][0]["adaptive"] is True
    assert Definition.from_json(found.to_json()) == found


def test_the_shares_of_each_day_are_those_of_its_records(store: Store) -> None:
    """Means where they moved within the day; what is never drawn is left out; other arms, too."""
    store.add(
        [
            drawn(0.1, UNIFORM),
            drawn(0.2, {**UNIFORM, "never": 0}),
            drawn(1.1, UNIFORM),
            drawn(1.6, TILTED),
            drawn(1.7, TILTED),
            drawn(1.8, TILTED),
            drawn(3.5, {"a": 1.0}),
            ResponseRecord(**{**vars(drawn(2.0, TILTED)), "arm": "uniform"}),
            drawn(-1, TILTED),
        ]
    )
    mixes = drawn_mixes(store, definition(), "moving", START + 4 * DAY_S)
    days = by_day(mixes)

    assert [day.day - 20_000 for day in days] == [0, 1, 3]
    assert [day.responses for day in days] == [2, 4, 1]
    assert days[0].shares == UNIFORM
    assert days[1].shares == pytest.approx({"a": 0.3125, "b": 0.6875})
    assert mean_shares(mixes)["a"] == pytest.approx((0.5 * 3 + 0.25 * 3 + 1) / 7)
    assert drawn_mixes(store, definition(), "moving", START) == []


def test_a_mix_is_in_force_since_the_last_response_by_another_one(store: Store) -> None:
    """Requests that only some components could answer do not tell."""
    store.add(
        [drawn(d, UNIFORM) for d in (0.5, 1.5)]
        + [drawn(d, TILTED) for d in (1.6, 2.5)]
        + [drawn(3.0, {"b": 1.0})]
    )
    mixes = drawn_mixes(store, definition(), "moving", START + 4 * DAY_S)

    assert in_force(mixes, TILTED).since == START + 1.6 * DAY_S
    assert in_force(mixes, UNIFORM).since is None
    assert in_force(mixes, {"a": 0.1, "b": 0.9}).since is None
    assert in_force([], UNIFORM).since is None


def test_what_replicas_still_draw_after_a_move_counts_as_before_it(store: Store) -> None:
    """They take a new blend one after another."""
    store.add([drawn(d, UNIFORM) for d in (0.1, 0.52)] + [drawn(d, TILTED) for d in (0.51, 0.9)])
    mixes = drawn_mixes(store, definition(), "moving", START + 4 * DAY_S)

    assert in_force(mixes, TILTED).since == START + 0.52 * DAY_S
    assert in_force(mixes, TILTED).evidence_since is None


def test_evidence_begins_anew_when_a_mix_goes_back_to_uniform(store: Store) -> None:
    """And counts on from there while the mix moves again; the first uniform days are no return."""
    began = [drawn(d, UNIFORM) for d in (0.1, 0.9)]
    moved = [drawn(d, TILTED) for d in (1.1, 1.9)]
    returned = [drawn(d, UNIFORM) for d in (2.1, 2.9)]
    again = [drawn(d, {"a": 0.75, "b": 0.25}) for d in (3.1, 3.9)]
    store.add([*began, *moved, *returned, *again])
    mixes = drawn_mixes(store, definition(), "moving", START + 9 * DAY_S)

    def since(days: int) -> float | None:
        return in_force([m for m in mixes if m.day < 20_000 + days], UNIFORM).evidence_since

    assert [since(1), since(2)] == [None, None]
    assert [since(3), since(4)] == [START + 1.9 * DAY_S] * 2
