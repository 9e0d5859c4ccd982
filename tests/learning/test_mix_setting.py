"""What a blend's file has to say before its mix may move."""

from datetime import UTC, datetime
from typing import Any

import pytest
import yaml

from blended.config import BlendConfig
from blended.errors import ConfigError
from blended.learning.mix_setting import ceilings, drawn_shares, setting, weights

NOW = datetime(2026, 12, 15, tzinfo=UTC).timestamp()
ARMS = [
    {"id": "even", "share": 1, "weights": {"a": 2, "b": 2}},
    {"id": "moving", "share": 9, "adaptive": True},
]


def blend(experiment: dict[str, Any] | None = None, **fields: Any) -> BlendConfig:
    """Two components that are drawn, one that is not, and an experiment around them."""
    values = {
        "name": "mix",
        "start": "2026-12-01",
        "end": "2027-12-01",
        "control": "even",
        "arms": ARMS,
    }
    return BlendConfig.model_validate(
        {
            "name": "friends",
            "components": [{"id": i, "kind": "simulated"} for i in "abc"],
            "selection": {"weights": {"a": 1, "b": 3, "c": 0}},
            "experiments": [values | (experiment or {})],
            **fields,
        }
    )


def test_a_tenth_of_the_users_keeps_the_uniform_mix() -> None:
    """The others have what the file says at the moment."""
    found = setting(blend(), NOW)

    assert (found.holdback.id, found.adaptive.id) == ("even", "moving")
    assert found.shares == {"a": 0.25, "b": 0.75}


@pytest.mark.parametrize(
    ("experiment", "fields", "said"),
    [
        (None, {"experiments": []}, "No experiment with an adaptive arm runs."),
        ({"start": "2026-12-20"}, {}, "No experiment with an adaptive arm runs."),
        ({"end": "2026-12-10"}, {}, "No experiment with an adaptive arm runs."),
        ({"arms": [*ARMS, {"id": "third"}]}, {}, "has other arms than a uniform one"),
        ({"arms": [{"id": "even", "adaptive": True}, ARMS[1]]}, {}, "has other arms than"),
        ({"control": "moving"}, {}, "has the adaptive arm as its control"),
        (
            {"arms": [{"id": "even", "weights": {"a": 1, "b": 2}}, ARMS[1]]},
            {},
            "The arm 'even' is not uniform over the components that the blend draws",
        ),
        (
            {"arms": [{"id": "even", "weights": {"a": 1, "b": 1, "c": 1}}, ARMS[1]]},
            {},
            "The arm 'even' is not uniform over the components that the blend draws",
        ),
        ({"users": [0, 0.5]}, {}, "has 5.0% of the users, and needs 10% at least"),
        (
            None,
            {"selection": {"weights": {"a": 1, "b": 3, "c": 0}, "per_conversation": 2}},
            "With 'per_conversation' a record has the shares of its conversation's seats",
        ),
        (
            None,
            {
                "selection": {
                    "weights": {"a": 1, "b": 3, "c": 0},
                    "policy": "friends-1@0123456789ab",
                }
            },
            "The policy friends-1@0123456789ab draws by the request",
        ),
    ],
)
def test_any_other_experiment_is_refused_with_what_to_write(
    experiment: dict[str, Any] | None, fields: dict[str, Any], said: str
) -> None:
    """What is written so is accepted from its start on."""
    given = blend(experiment, **fields)
    with pytest.raises(ConfigError) as found:
        setting(given, NOW)

    message = str(found.value)
    assert message.startswith(said) or f" {said}" in message
    written = yaml.safe_load(message.partition("apply it:\n")[2])
    assert setting(blend(**written), NOW + 2 * 86_400).holdback.id == "uniform"


def test_a_blend_of_one_component_has_no_mix() -> None:
    """Nor one whose other components have weight 0."""
    with pytest.raises(ConfigError, match="'friends' draws 'a' alone"):
        setting(blend(selection={"weights": {"a": 1, "b": 0, "c": 0}}), NOW)


def test_two_experiments_cannot_move_one_mix() -> None:
    """Of different layers, which divide the users independently."""
    values = {"start": "2026-12-01", "end": "2027-12-01", "control": "even", "arms": ARMS}
    two = [{"name": "one", **values}, {"name": "two", "layer": "other", **values}]
    with pytest.raises(ConfigError, match="'one' and 'two' run with adaptive arms"):
        setting(blend(experiments=two), NOW)


def test_a_share_has_the_capacity_of_its_replicas() -> None:
    """At the most replicas that it may have; each beyond the list adds what the last one did."""
    replicas = [{"max": 2, "capacity": [4, 7, 9]}, {"max": 4, "capacity": [4, 7]}, {}]
    components = [
        {"id": i, "kind": "simulated", "replicas": r} for i, r in zip("abc", replicas, strict=True)
    ]

    assert ceilings(blend(components=components), 20) == {"a": 7 / 20, "b": 13 / 20}
    assert ceilings(blend(components=components), 5) == {"a": 1, "b": 1}


def test_a_uniform_mix_is_written_with_weights_of_one() -> None:
    """So that it is exactly uniform; a component that is not drawn keeps weight 0."""
    assert weights(blend(), {"a": 0.5, "b": 0.5}) == {"a": 1, "b": 1, "c": 0}
    assert weights(blend(), {"a": 0.3, "b": 0.7}) == {"a": 0.3, "b": 0.7, "c": 0}
    assert drawn_shares(blend(selection={})) == dict.fromkeys("abc", 1 / 3)
