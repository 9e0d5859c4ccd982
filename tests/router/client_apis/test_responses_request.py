"""What a request of the Responses API asks of a component, and which requests are refused."""

from typing import Any

import pytest

from blended.config import Api
from blended.errors import ApiError
from blended.router.client_apis.all_apis import RESPONSES

Json = dict[str, Any]

LIMITS = Api()
LOOK = {"type": "function", "name": "look", "parameters": {"type": "object"}, "strict": True}
LOOK_IN_CHAT = {
    "type": "function",
    "function": {"name": "look", "parameters": {"type": "object"}, "strict": True},
}


def asked(**fields: Any) -> Json:
    """The chat of a request, without fields that are null."""
    payload = RESPONSES.checked({"model": "blend", "input": "Hi", **fields}, LIMITS)
    return {name: value for name, value in payload.items() if value is not None}


def messages(*items: Json) -> list[Json]:
    """The messages of an input."""
    found: list[Json] = asked(input=list(items))["messages"]
    return found


def refused(**fields: Any) -> ApiError:
    """The error of a request."""
    with pytest.raises(ApiError) as caught:
        asked(**fields)
    assert caught.value.status == 400
    return caught.value


def test_a_text_is_the_users_message() -> None:
    """Instructions come before it, and the limit has chat's name."""
    chat = asked(instructions="Be brief.", max_output_tokens=7, temperature=0.5, stream=True)

    assert chat == {
        "model": "blend",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hi"},
        ],
        "max_tokens": 7,
        "temperature": 0.5,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_what_one_response_held_becomes_one_message() -> None:
    """Reasoning, text and calls of the history stand together, and results follow."""
    found = messages(
        {"role": "user", "content": [{"type": "input_text", "text": "Where?"}]},
        {"type": "reasoning", "id": "r", "summary": [], "content": [{"text": "Hm."}]},
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "I look.", "annotations": []}],
        },
        {"type": "function_call", "call_id": "1", "name": "look", "arguments": "{}"},
        {"type": "function_call", "call_id": "2", "name": "look", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "1", "output": "sky"},
        {
            "type": "function_call_output",
            "call_id": "2",
            "output": [{"type": "input_text", "text": "sea"}],
        },
    )

    function = {"name": "look", "arguments": "{}"}
    calls = [{"id": n, "type": "function", "function": function} for n in ("1", "2")]
    assert found == [
        {"role": "user", "content": "Where?"},
        {"role": "assistant", "content": "I look.", "reasoning": "Hm.", "tool_calls": calls},
        {"role": "tool", "tool_call_id": "1", "content": "sky"},
        {"role": "tool", "tool_call_id": "2", "content": "sea"},
    ]


def test_images_and_files_pass() -> None:
    """They are parts in the shape of chat, with the image's detail."""
    image = {"type": "input_image", "image_url": "data:image/png;base64,x", "detail": "low"}
    file = {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,x"}
    [message] = messages({"role": "user", "content": [image, file]})

    assert message["content"] == [
        {"type": "image_url", "image_url": {"url": image["image_url"], "detail": "low"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": file["file_data"]}},
    ]


@pytest.mark.parametrize(
    ("choice", "in_chat"),
    [
        ("required", "required"),
        (
            {"type": "function", "name": "look"},
            {"type": "function", "function": {"name": "look"}},
        ),
        (
            {
                "type": "allowed_tools",
                "mode": "auto",
                "tools": [{"type": "function", "name": "look"}],
            },
            "auto",
        ),
    ],
)
def test_functions_and_their_choice_pass(choice: Any, in_chat: Any) -> None:
    """A choice of allowed tools leaves the others out."""
    others = [LOOK | {"name": "hear"}] if isinstance(choice, dict) and "mode" in choice else []
    chat = asked(tools=[LOOK, *others], tool_choice=choice, parallel_tool_calls=False)

    assert chat["tools"] == [LOOK_IN_CHAT]
    assert chat["tool_choice"] == in_chat
    assert chat["parallel_tool_calls"] is False


def test_the_form_of_the_response_and_the_effort_pass() -> None:
    """A schema has chat's place for it."""
    schema = {"name": "n", "schema": {"type": "object"}, "strict": True}
    chat = asked(text={"format": {"type": "json_schema", **schema}}, reasoning={"effort": "low"})

    assert chat["response_format"] == {"type": "json_schema", "json_schema": schema}
    assert chat["reasoning_effort"] == "low"
    assert "response_format" not in asked(text={"format": {"type": "text"}})


def test_what_breaks_no_promise_is_dropped() -> None:
    """Codex and the SDKs send these with every request."""
    harmless = {
        "include": ["reasoning.encrypted_content"],
        "store": False,
        "background": False,
        "truncation": "auto",
        "service_tier": "auto",
        "stream_options": {"include_obfuscation": False},
        "text": {"verbosity": "medium"},
        "reasoning": {"summary": "auto"},
        "previous_response_id": None,
    }

    assert asked(**harmless) == asked()


def test_what_names_user_and_conversation_stays() -> None:
    """The router reads these by the same names as in a chat."""
    names = {
        "metadata": {"conversation_id": "c"},
        "safety_identifier": "s",
        "user": "u",
        "prompt_cache_key": "p",
    }

    assert asked(**names) == asked() | names


@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        ({"store": True}, "store", "whole conversation"),
        ({"background": True}, "background", "background"),
        ({"previous_response_id": "r"}, "previous_response_id", "whole conversation"),
        ({"conversation": "c"}, "conversation", "whole conversation"),
        ({"messages": []}, "messages", "/v1/chat/completions"),
        ({"n": 2}, "n", "/v1/chat/completions"),
        ({"max_output_tokens": 0}, "max_output_tokens", "whole number from 1"),
        ({"instructions": 7}, "instructions", "a text"),
        ({"include": ["message.output_text.logprobs"]}, "include", "encrypted_content"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type", "web_search"),
        ({"tools": [{"type": "mcp", "server_label": "s"}]}, "tools[0].type", "mcp"),
        ({"tools": [{"type": "function"}]}, "tools[0].name", "missing"),
        ({"tool_choice": {"type": "file_search"}}, "tool_choice.type", "file_search"),
        ({"text": {"verbosity": "low"}}, "text.verbosity", "'instructions'"),
        ({"text": {"format": {"type": "xml"}}}, "text.format", "json_schema"),
        ({"text": {"color": "red"}}, "text.color", "format, verbosity"),
        ({"reasoning": {"effort": "huge"}}, "reasoning.effort", "medium"),
        ({"input": []}, "input", "at least one item"),
        ({"input": [7]}, "input[0]", "an object"),
        ({"input": [{"type": "item_reference", "id": "i"}]}, "input[0].type", "store: false"),
        ({"input": [{"type": "web_search_call"}]}, "input[0].type", "function_call_output"),
        ({"input": [{"role": "robot", "content": "x"}]}, "input[0].role", "assistant"),
        (
            {"input": [{"role": "system", "content": "x"}, {"role": "user", "content": 7}]},
            "input[1].content",
            "give",
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]},
            "input[0].content[0].image_url",
            "missing",
        ),
        (
            {"input": [{"type": "function_call", "call_id": "1", "name": "f"}]},
            "input[0].arguments",
            "missing",
        ),
    ],
)
def test_what_cannot_be_done_is_refused_by_the_clients_name(
    fields: Json, param: str, words: str
) -> None:
    """The message has the field, and what to do instead."""
    error = refused(**fields)

    assert error.param == param
    assert f"'{param}'" in error.message
    assert words in error.message


def test_an_unknown_field_stays_for_the_components_that_take_it() -> None:
    """It is checked by what the components list, like a chat's."""
    assert asked(ignore_eos=True)["ignore_eos"] is True


def test_a_long_input_is_refused_as_a_long_chat_is() -> None:
    """The limit is on messages."""
    items = [{"role": "user", "content": "x"}] * (LIMITS.max_messages + 1)

    assert refused(input=items).message.startswith("'input' has")
