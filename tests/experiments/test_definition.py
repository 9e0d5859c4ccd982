"""An experiment as the journal keeps it: what its version and its arms depend on."""

from dataclasses import replace

from blended.experiments.definition import ArmDefinition, Definition, refusal

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
# As it was before arms could have policies.
VERSION = "e12a55313aed"


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
