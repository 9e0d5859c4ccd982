"""The tokens that a response costs its key, before it is generated and after its end."""

import json
from typing import Any

import pytest

from blended.config import Sampling
from blended.router.cost import prompt_tokens
from blended.router.inquiry import CHAT, COMPLETIONS
from blended.router.requests import most_tokens

RULES = Sampling.model_validate({"max_tokens": {"default": 64, "max": 100}, "n": {"max": 4}})


@pytest.mark.parametrize(
    ("prompt", "tokens"),
    [
        ("x" * 300, range(100, 110)),
        (["x" * 300] * 3, range(300, 330)),
        ([7] * 50, range(50, 51)),
        ([7.0, 8], range(2, 3)),
        ([[7] * 50, [8] * 20], range(70, 71)),
    ],
)
def test_a_prompt_is_counted_in_every_form(prompt: Any, tokens: range) -> None:
    """Texts are estimated at three bytes a token; token ids are counted."""
    assert prompt_tokens(COMPLETIONS, {"prompt": prompt}) in tokens


def test_tools_are_a_part_of_the_prompt() -> None:
    """Their length counts, because templates write them out."""
    messages = [{"role": "user", "content": "Hello!"}]
    tools = [{"type": "function", "function": {"name": "f", "description": "x" * 600}}] * 2
    without = prompt_tokens(CHAT, {"messages": messages, "tools": []})

    length = prompt_tokens(CHAT, {"messages": messages, "tools": tools}) - without
    assert length == pytest.approx(len(json.dumps(tools)) / 3, rel=0.05)


@pytest.mark.parametrize(
    ("asked", "tokens"),
    [
        ({}, 64),
        ({"max_tokens": 10}, 10),
        ({"max_tokens": 10**6}, 100),
        ({"max_completion_tokens": 30, "max_tokens": 90}, 30),
        ({"n": 3}, 3 * 64),
        ({"n": 128, "max_tokens": 10**6}, 4 * 100),
        ({"prompt": ["a"] * 5}, 5 * 64),
        ({"prompt": [1, 2, 3]}, 64),
        ({"prompt": [[1], [2]], "n": 2}, 2 * 2 * 64),
    ],
)
def test_a_response_is_as_long_as_the_component_lets_it(asked: dict[str, Any], tokens: int) -> None:
    """The limit counts for each choice and for each prompt."""
    assert most_tokens(asked, RULES) == tokens
