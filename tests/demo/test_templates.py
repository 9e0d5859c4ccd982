"""The three chat templates: different families, all tolerant of what a blend sends."""

from functools import cache
from typing import Any, cast

import pytest
from transformers import AutoTokenizer

from blended.demo import MODEL_IDS, model_path
from blended.demo.corpus import Message
from blended.demo.tokenizers import DIALECTS
from blended.demo.training_batches import render

SHARED = [
    {"role": "user", "content": "Hello, I am Robin."},
    {"role": "assistant", "content": "Noted, Robin."},
    {"role": "user", "content": "What should I eat?"},
    {"role": "assistant", "content": "Perhaps soup, warm as a small sun."},
    {"role": "user", "content": "Thank you!"},
]


@cache
def _tokenizer(model_id: str) -> Any:
    return AutoTokenizer.from_pretrained(model_path(model_id))


def _render(model_id: str, messages: list[dict[str, Any]]) -> str:
    tokenizer = _tokenizer(model_id)
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return cast(str, text)


def test_each_family_writes_the_shared_history_its_own_way() -> None:
    """ChatML, Vicuna and Llama 2 marks, around the same words."""
    marks = {"ember": "<|im_start|>user\n", "flint": "USER: ", "willow": "[INST] "}

    for model_id, mark in marks.items():
        text = _render(model_id, SHARED)
        assert all(message["content"] in text for message in SHARED)
        assert [m for m in marks.values() if m in text] == [mark]


@pytest.mark.parametrize("model_id", MODEL_IDS)
@pytest.mark.parametrize(
    "roles",
    [
        ["system", "user"],
        ["developer", "user"],
        ["user", "user"],
        ["assistant", "user"],
        ["user", "assistant", "assistant", "user"],
        ["user", "assistant", "tool", "user"],
        ["system"],
    ],
)
def test_any_order_of_roles_is_tolerated(model_id: str, roles: list[str]) -> None:
    """All contents are rendered, and the prompt ends where the reply begins."""
    messages = [{"role": role, "content": f"text number {at}"} for at, role in enumerate(roles)]

    text = _render(model_id, messages)

    assert all(message["content"] in text for message in messages)
    assert text.endswith(DIALECTS[model_id].reply_opens)


@pytest.mark.parametrize("model_id", MODEL_IDS)
def test_parts_read_like_plain_text(model_id: str) -> None:
    """Content given as a list of text parts, or as null, is accepted."""
    parts = [{"type": "text", "text": "Hello, "}, {"type": "text", "text": "you."}]
    as_parts = _render(model_id, [{"role": "user", "content": parts}])

    assert as_parts == _render(model_id, [{"role": "user", "content": "Hello, you."}])
    assert _render(model_id, [{"role": "assistant", "content": None}, *SHARED])


@pytest.mark.parametrize("model_id", MODEL_IDS)
def test_training_renders_as_the_served_template_does(model_id: str) -> None:
    """The text a model was trained on is the text it meets when served."""
    messages = [Message(message["role"], message["content"]) for message in SHARED]

    assert render(model_id, messages, ask=True) == _render(model_id, SHARED)


@pytest.mark.parametrize("model_id", MODEL_IDS)
def test_reply_follows_the_prompt_without_a_seam(model_id: str) -> None:
    """Tokens of a prompt are a prefix of the tokens of the finished conversation."""
    tokenizer = _tokenizer(model_id)
    asked = [Message(message["role"], message["content"]) for message in SHARED]
    done = [*asked, Message("assistant", "You are welcome.")]

    prompt = tokenizer.encode(render(model_id, asked, ask=True), add_special_tokens=False)
    whole = tokenizer.encode(render(model_id, done), add_special_tokens=False)

    assert whole[: len(prompt)] == prompt
