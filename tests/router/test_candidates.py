"""The answer with one candidate, in each form, from answers with several."""

import json
from typing import Any

import pytest

from blended import sse
from blended.router.candidates import (
    beginning,
    best,
    candidates,
    continued,
    cut,
    rejected_tokens,
    response,
    spliced,
    stream,
)
from tests.support import events

USAGE = {"prompt_tokens": 5, "completion_tokens": 9, "total_tokens": 14}


def answer(*texts: str, counted: bool = True, **more: Any) -> dict[str, Any]:
    """A component's document with these texts, in another order than that of their numbers."""
    choices = [
        {
            "index": index,
            "message": {"role": "assistant", "content": text},
            "finish_reason": "stop",
            **({"token_ids": [0] * len(text.split())} if counted else {}),
        }
        for index, text in enumerate(texts)
    ]
    named = {"id": "chatcmpl-1", "object": "chat.completion", "created": 7, "model": "m"}
    return {**named, "choices": choices[::-1], "usage": dict(USAGE), **more}


def test_candidates_are_in_the_order_of_their_numbers() -> None:
    """Whatever the order in which the component lists them."""
    found = candidates(answer("one", "two words", "three"))

    assert [c.text for c in found] == ["one", "two words", "three"]
    assert [c.tokens for c in found] == [1, 2, 1]
    assert rejected_tokens(found, 0) == 3


def test_the_highest_score_wins_and_of_equal_ones_the_first() -> None:
    """So that a choice can be repeated."""
    assert best([0.1, 0.7, 0.7, -1.0]) == 1
    assert best([-2.0]) == 0


def test_tokens_that_nobody_counted_are_not_guessed() -> None:
    """A remote API says how many all candidates have together, and that is all."""
    document = answer("one", "two words", counted=False)
    found = candidates(document)

    assert rejected_tokens(found, 0) is None
    assert response(document, found[0], None)["usage"] == USAGE


def test_a_response_has_one_choice_and_no_ids_of_tokens() -> None:
    """What was asked for to count is nothing for clients, and other details of usage stay."""
    usage = USAGE | {"completion_tokens_details": {"reasoning_tokens": 0}}
    document = answer("one", "two words", prompt_token_ids=[1, 2], usage=usage)
    found = response(document, candidates(document)[1], 1)

    [choice] = found["choices"]
    assert choice["index"] == 0
    assert choice["message"]["content"] == "two words"
    assert "token_ids" not in choice
    assert "prompt_token_ids" not in found
    details = {"reasoning_tokens": 0, "rejected_tokens": 1}
    assert found["usage"] == USAGE | {"completion_tokens_details": details}


@pytest.mark.parametrize("text", ["", " ", "one", "a b\n\n c  d" * 40, "é" * 300, "no-blank" * 50])
def test_the_pieces_of_a_stream_are_the_text(text: str) -> None:
    """No character is lost or added, wherever it is cut."""
    document = answer(text, "other")
    whole = response(document, candidates(document)[0], 1)
    *chunks, usage, done = events(stream(whole))

    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert "".join(delta.get("content", "") for delta in deltas) == text
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert usage["choices"] == []
    assert usage["usage"] == whole["usage"]
    assert done == "[DONE]"


def test_reasoning_comes_before_the_text() -> None:
    """A model that thinks is streamed as one."""
    document = answer("Yes.", "No.")
    document["choices"][-1]["message"]["reasoning"] = "Let me see."
    whole = response(document, candidates(document)[0], 1)

    deltas = [chunk["choices"][0]["delta"] for chunk in events(beginning(whole))]
    assert deltas[1:] == [{"reasoning": "Let me see."}, {"content": "Yes."}]


def test_two_parts_are_one_document() -> None:
    """The text of both, the end of the second, and the tokens of all."""
    document = answer("I", "You")
    begun = cut(response(document, candidates(document)[0], 1), "I")
    rest = answer(" am here.", usage={"completion_tokens": 3})
    rest["choices"][0]["finish_reason"] = "length"
    found = continued(begun, rest)

    [choice] = found["choices"]
    assert choice["message"]["content"] == "I am here."
    assert choice["finish_reason"] == "length"
    assert (found["usage"]["completion_tokens"], found["usage"]["total_tokens"]) == (12, 17)
    assert found["usage"]["completion_tokens_details"] == {"rejected_tokens": 1}


@pytest.mark.parametrize("size", [1, 7, 10_000])
async def test_two_parts_are_one_stream(size: int) -> None:
    """One beginning, all pieces, and the usage of both, wherever the chunks are cut."""
    document = answer("I", "You")
    begun = cut(response(document, candidates(document)[0], 1), "I")
    parts: list[dict[str, Any]] = [
        {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]},
        {"choices": [{"index": 0, "delta": {"content": ' say "usage"'}}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        {"choices": [], "usage": {"completion_tokens": 3, "total_tokens": 30}},
    ]
    sent = b"".join(map(sse.encode, parts)) + b": still here\n\n" + sse.encode_data(sse.DONE)

    async def rest() -> Any:
        for start in range(0, len(sent), size):
            yield sent[start : start + size]

    got = b"".join([chunk async for chunk in spliced(begun, rest())])
    *chunks, usage, done = events(got)
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert [d for d in deltas if "role" in d] == [{"role": "assistant", "content": ""}]
    assert "".join(d.get("content", "") for d in deltas) == 'I say "usage"'
    assert usage["usage"]["completion_tokens"] == 12
    assert usage["usage"]["total_tokens"] == 17
    assert done == "[DONE]"
    assert json.dumps(usage["usage"]["completion_tokens_details"]) == '{"rejected_tokens": 1}'


async def test_what_is_no_json_passes_as_it_is() -> None:
    """The router's own reader decides what becomes of it."""
    document = answer("I", "You")
    begun = response(document, candidates(document)[0], 1)

    async def rest() -> Any:
        yield b'data: {"usage": oops\n\n'

    chunks = [chunk async for chunk in spliced(begun, rest())]
    assert chunks[-1] == b'data: {"usage": oops\n\n'
