"""The prompt tokens of a conversation, by a blend's members, seats and look-ahead."""

import math
import random
from typing import Any

import pytest

from blended.config import BlendConfig
from cluster.capacity.conversation import Talk, lengths

BLOCK = 32
ENGINE = {"model": "demo:ember", "accelerator": "cpu", "args": {"block_size": BLOCK}}


def blend(*names: str, **selection: Any) -> BlendConfig:
    components = [{"id": name, "kind": "vllm", "engine": ENGINE} for name in names]
    return BlendConfig.model_validate(
        {"name": "blend", "components": components, "selection": selection}
    )


def test_one_component_lacks_what_the_user_has_said() -> None:
    """And half of a block, in every turn but the first."""
    found = lengths(blend("a"), Talk(user=50, response=150, turns=4))

    assert found["a"].prompt == pytest.approx(50 + BLOCK / 2 * 3 / 4)
    assert found["a"].ahead == 0


def test_a_blend_tends_to_all_that_its_other_members_have_said() -> None:
    """N messages and N - 1 responses, in a conversation that is long."""
    found = lengths(blend("a", "b", "c"), Talk(50, 150, turns=2000))

    assert found["b"].computed == pytest.approx(3 * 50 + 2 * 150 + BLOCK / 2, rel=0.01)


def simulated(weights: dict[str, float], seats: int | None, talk: Talk) -> dict[str, float]:
    """The mean tokens by component over simulated conversations."""
    rng = random.Random(5)
    tokens, counts = dict.fromkeys(weights, 0.0), dict.fromkeys(weights, 0)
    names, odds = list(weights), list(weights.values())
    for _ in range(20_000):
        drawn = names if seats is None else rng.choices(names, odds, k=seats)
        last = dict[str, int]()
        for turn in range(1, talk.turns + 1):
            [name] = rng.choices(drawn, odds if seats is None else None)
            gap = turn - last.get(name, 0)
            tokens[name] += gap * talk.user + (gap - 1) * talk.response
            tokens[name] += BLOCK / 2 * (talk.turns - 1) / talk.turns
            counts[name] += 1
            last[name] = turn
    return {name: tokens[name] / counts[name] for name in weights}


@pytest.mark.parametrize("seats", [None, 1, 2, 3])
def test_lengths_are_those_of_simulated_conversations(seats: int | None) -> None:
    """With unequal weights and seats; 20,000 seeded conversations lie within 2 %."""
    weights, talk = {"a": 0.6, "b": 0.3, "c": 0.1}, Talk(40, 120, turns=6)
    selection = {"weights": weights, **({"per_conversation": seats} if seats else {})}
    found = lengths(blend(*weights, **selection), talk)

    for name, tokens in simulated(weights, seats, talk).items():
        assert found[name].prompt == pytest.approx(tokens, rel=0.02)


def test_look_ahead_leaves_the_users_message_for_the_request() -> None:
    """The rest is computed before; after eight turns, as if a ninth came without its message."""
    seats = {"per_conversation": 2, "weights": {"a": 3, "b": 1}}
    for selection in ({}, seats):
        nine = lengths(blend("a", "b", **selection), Talk(50, 150, turns=9))["a"]
        found = lengths(blend("a", "b", look_ahead=True, **selection), Talk(50, 150, 8))["a"]

        assert found.prompt == pytest.approx(50 + BLOCK / 2 * 7 / 8)
        assert 8 * found.computed == pytest.approx(9 * nine.prompt - (50 + BLOCK / 2))


def test_a_component_that_is_never_drawn_has_no_lengths() -> None:
    """Nothing is asked of it."""
    found = lengths(blend("a", "b", weights={"a": 1, "b": 0}), Talk(50, 150, 8))

    assert list(found) == ["a"]
    assert math.isfinite(found["a"].prompt)
