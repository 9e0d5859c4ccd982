"""What an experiment's definition holds of its arms, and which changes are another treatment."""

import time
from typing import Any

from blended.config import BlendConfig
from blended.experiments.definition import Definition, refusal
from blended.router.blend import definitions

ARMS: list[dict[str, Any]] = [{"id": "one", "best_of": 1}, {"id": "four"}]


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
