"""An experiment as the journal keeps it: what its version and its arms depend on."""

import time
from dataclasses import replace
from typing import Any

from blended.config import BlendConfig
from blended.experiments.definition import ArmDefinition, Definition, refusal
from blended.router.blend import definitions

DEFINITION = Definition(
    name="one-or-all",
    salt="one-or-all",
    layer="default",
    users=(0.0, 1.0),
    eligible="all",
    start=1_790_000_000.0,
    end=1_791_000_000.0,
    control="one",
    arms=(
        ArmDefinition("one", 0.5, {"a": 1.0}),
        ArmDefinition("all", 0.5, {"a": 0.5, "b": 0.5}, 2),
    ),
    gpus={"a": 1, "b": 0},
    session_gap_s=1800,
    day_s=86_400,
    simulated=False,
)
# As it was before arms could have policies and candidates.
VERSION = "e12a55313aed"
ARMS: list[dict[str, Any]] = [{"id": "one", "best_of": 1}, {"id": "four"}]


def with_policy(policy: str | None) -> Definition:
    one, every = DEFINITION.arms
    return replace(DEFINITION, arms=(one, replace(every, policy=policy)))


def test_experiments_without_policies_keep_their_versions() -> None:
    """A definition in a journal is not another one because arms can have more."""
    assert DEFINITION.version == VERSION
    assert Definition.from_json(DEFINITION.to_json()) == DEFINITION


def test_a_policy_is_a_part_of_its_arm() -> None:
    """It is kept, and another one is another treatment, which a running experiment refuses."""
    one, other = with_policy("friends-1@0123456789ab"), with_policy("friends-1@ba9876543210")

    assert Definition.from_json(one.to_json()) == one
    assert len({one.version, other.version, DEFINITION.version}) == 3
    assert refusal(one, other, one.start + 1)
    assert refusal(one, DEFINITION, one.start + 1)
    assert refusal(one, one, one.start + 1) is None


def defined(arms: list[dict[str, Any]], best_of: Any = None, reward: bool = True) -> Definition:
    """The definition of a running experiment with these arms."""
    component = {"id": "a", "kind": "simulated"}
    experiment = {
        "name": "e",
        "start": "2020-01-01",
        "end": "2100-01-01",
        "control": arms[0]["id"],
        "arms": arms,
    }
    data: dict[str, Any] = {
        "name": "blend",
        "components": [component | ({} if best_of is None else {"best_of": best_of})],
        "experiments": [experiment],
    }
    if reward:
        data["reward"] = {"kind": "simulated"}
    [found] = definitions(BlendConfig.model_validate(data))
    return found


def test_an_arms_candidates_are_a_part_of_its_treatment() -> None:
    """Those of the arm, or else those of the components that it draws."""
    found = defined(ARMS, best_of={"k": 4, "early": 24})

    assert [arm.best_of for arm in found.arms] == [None, {"a": {"k": 4, "early": 24}}]
    changed = defined(ARMS, best_of=8)
    said = refusal(found, changed, time.time())
    assert said is not None
    assert "arms stay as they are" in said


def test_a_definition_without_candidates_keeps_its_version() -> None:
    """It is the same document as before there were any, and reads as one."""
    plain = [{"id": "one"}, {"id": "two"}]
    found = defined(plain, reward=False)

    assert all("best_of" not in arm for arm in found.to_json()["arms"])
    assert defined(plain).version == found.version
    assert Definition.from_json(found.to_json()) == found


def test_a_definition_with_candidates_is_read_as_it_was_written() -> None:
    """The journal's JSON gives back the same arms and version."""
    found = defined(ARMS, best_of=4)

    assert Definition.from_json(found.to_json()) == found
    assert Definition.from_json(found.to_json()).version == found.version
