"""From a request's bytes to the body for a component."""

import json
from typing import Any

import pytest

from blended.config import History, Sampling
from blended.errors import ApiError
from blended.router.history.legal_form import legal
from blended.router.requests import check_chat, check_completion, component_body, parse

HELLO = {"model": "m", "messages": [{"role": "user", "content": "Hello!"}]}


def sampling(**fields: Any) -> Sampling:
    return Sampling.model_validate(fields)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'"text"', b"\xff\xfe", b'{"a": NaN}', b"[" * 100_000, b"1" * 5000, b"null"],
)
def test_a_body_that_is_no_json_object_is_refused(body: bytes) -> None:
    """Broken JSON, other JSON types, bad UTF-8, NaN and absurd nesting give 400 with a reason."""
    with pytest.raises(ApiError) as error:
        parse(body)

    assert error.value.status == 400
    assert "JSON" in str(error.value)


@pytest.mark.parametrize(
    ("body", "read"),
    [
        (rb'{"stop": ["\ud800"]}', {"stop": ["\ufffd"]}),
        (rb'{"\uDFFF": "a\udc00\ud83db"}', {"\ufffd": "a\ufffd\ufffdb"}),
        (b'{"stop": "\xed\xa0\x80"}', {"stop": "\ufffd"}),
        (rb'{"stop": "\ud83e\uded6 \\ud800"}', {"stop": "\U0001fad6 \\ud800"}),
    ],
)
def test_half_a_character_is_replaced_wherever_it_stands(body: bytes, read: Any) -> None:
    """No engine can encode it; whole characters and escaped backslashes stay."""
    assert parse(body) == read


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": ["hi"]}, "messages[0]"),
        ({"messages": [{"content": "hi"}]}, "messages[0].role"),
        ({"messages": [{"role": "robot", "content": "hi"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": 7}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [7]}]}, "messages[0].content[0]"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
            "messages[0].content[0].text",
        ),
        ({"stream": "yes"}, "stream"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"max_completion_tokens": "8"}, "max_completion_tokens"),
        ({"n": "two"}, "n"),
        ({"stop": [1]}, "stop"),
    ],
)
def test_a_wrong_field_is_named(change: dict[str, Any], param: str) -> None:
    """Wrong types, empty and roleless messages give 400 and name the field."""
    with pytest.raises(ApiError) as error:
        check_chat(HELLO | change)

    assert (error.value.status, error.value.param) == (400, param)
    assert param in str(error.value)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"reasoning": "I think."},
        {"reasoning_content": "I think."},
        {"tool_calls": []},
        {"tool_calls": [], "reasoning": None},
        {"audio": {"id": "a"}},
        {"refusal": None, "annotations": []},
    ],
)
def test_what_was_answered_can_be_sent_back(fields: dict[str, Any]) -> None:
    """An assistant's message may have no content, and no list of calls is sent to a component."""
    answered = {"role": "assistant", "content": None, **fields}
    messages = [{"role": "user", "content": ""}, answered, {"role": "user", "content": "And now?"}]
    check_chat({"messages": messages})
    check_chat({"messages": messages[:2]})

    for part in (messages, messages[:2]):
        assert not any("tool_calls" in message for message in legal(part, History()))
    assert legal(messages[:2], History())[-1]["content"] in ("", None)


def test_what_openai_clients_send_is_accepted() -> None:
    """Calls and refusals without content, parts, null fields and the newer limit are valid."""
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [
        {"role": "developer", "content": "Be kind."},
        {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "42"},
        {"role": "assistant", "content": None, "refusal": "I will not."},
    ]

    check_chat(
        {"messages": messages, "stop": None, "temperature": None, "max_completion_tokens": 8}
    )


@pytest.mark.parametrize("prompt", [None, "", [], 7, {"a": 1}])
def test_a_completion_needs_a_prompt(prompt: Any) -> None:
    """A missing or empty prompt gives 400."""
    with pytest.raises(ApiError) as error:
        check_completion({"prompt": prompt})

    assert error.value.param == "prompt"


def test_fields_that_components_know_reach_them_as_they_are() -> None:
    """Only the model is replaced; fields that are not in the table are left out."""
    known = HELLO | {
        "seed": 7,
        "logprobs": True,
        "tools": [{"type": "function"}],
        "response_format": {"type": "json_object"},
        "stream_options": {"include_usage": True},
    }
    rules = Sampling(max_tokens={"max": None})  # type: ignore[arg-type]

    body = component_body(known | {"user": "ada", "something_new": [1, 2]}, "component", rules)

    assert body == known | {"model": "component"}


CROWDED = {
    "objects": "{}," * 70_000,
    "lists": "[]," * 70_000,
    "lists in objects": '{"a":[]},' * 35_000,
    "numbers": "1," * 270_000,
    "texts": '"a",' * 270_000,
    "texts with brackets": '"[",' * 140_000,
}


@pytest.mark.parametrize("what", CROWDED)
def test_a_crowded_body_is_refused_before_it_is_decoded(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Building so many values would delay other requests."""
    monkeypatch.setattr("blended.router.requests.json.loads", None)
    with pytest.raises(ApiError, match="65536 objects and lists"):
        parse(f'{{"a": [{CROWDED[what]}1]}}'.encode())


@pytest.mark.parametrize("text", ["[{,", '"[{,', "\\[", '\\"{', '""', ',"', "\\\\,["])
def test_a_text_may_have_any_number_of_marks(text: str) -> None:
    """Code is full of brackets and commas; quotes and backslashes in a text do not end it."""
    body = {"a": text * 300_000, "b": [text * 1000] * 100}

    assert parse(json.dumps(body).encode()) == body


def test_defaults_fill_in_and_bounds_move_to_their_nearest_end() -> None:
    """A missing or null parameter gets the default; one outside the range gets its nearest end."""
    rules = sampling(
        temperature={"default": 0.7, "min": 0.1, "max": 1.2}, max_tokens={"default": 64, "max": 100}
    )

    def sent(**fields: Any) -> dict[str, Any]:
        body = component_body(HELLO | fields, "c", rules)
        return {name: body.get(name) for name in ("temperature", "max_tokens")}

    assert sent() == {"temperature": 0.7, "max_tokens": 64}
    assert sent(temperature=None) == {"temperature": 0.7, "max_tokens": 64}
    assert sent(temperature=0.5, max_tokens=8) == {"temperature": 0.5, "max_tokens": 8}
    assert sent(temperature=9, max_tokens=10**9) == {"temperature": 1.2, "max_tokens": 100}
    assert sent(temperature=0) == {"temperature": 0.1, "max_tokens": 64}


def test_the_token_limit_is_bounded_under_both_its_names() -> None:
    """`max_completion_tokens` is bounded like `max_tokens`, and does not get a second limit."""
    body = component_body(
        HELLO | {"max_completion_tokens": 999}, "c", sampling(max_tokens={"default": 5, "max": 50})
    )

    assert body["max_completion_tokens"] == 50
    assert "max_tokens" not in body


def test_whole_numbers_stay_whole() -> None:
    """Bounds are floats in the config; counts reach the component as integers."""
    body = component_body(HELLO | {"n": 99}, "c", sampling(n={"max": 4.0}, top_k=40))

    assert json.dumps([body["n"], body["top_k"]]) == "[4, 40]"


@pytest.mark.parametrize(
    ("asked", "bound", "sent"),
    [
        (-1, {}, -1),
        (0, {"min": 1}, 0),
        (-1, {"min": 1, "max": 50}, 50),
        (0, {"max": 50}, 50),
        (3, {"min": 5, "max": 50}, 5),
        (90, {"min": 5, "max": 50}, 50),
        (None, {"default": -1, "max": 50}, 50),
    ],
)
def test_all_tokens_are_more_than_any_number(asked: Any, bound: dict[str, int], sent: int) -> None:
    """-1 and 0 ask for all of them: the nearest end is the maximum, not the minimum."""
    assert component_body(HELLO | {"top_k": asked}, "c", sampling(top_k=bound))["top_k"] == sent


@pytest.mark.parametrize(
    ("given", "expected"),
    [(None, ["\n"]), ("END", ["END", "\n"]), (["a", "\n"], ["a", "\n"])],
)
def test_the_components_stop_texts_are_added_to_the_clients(
    given: Any, expected: list[str]
) -> None:
    """A component's own stop texts are always in the list, each text once."""
    body = component_body(HELLO | {"stop": given}, "c", sampling(stop=("\n",)))

    assert body["stop"] == expected
