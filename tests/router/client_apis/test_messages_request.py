"""What a request of the Messages API asks of a component, and which requests are refused."""

from typing import Any

import pytest

from blended.config import Api
from blended.errors import ApiError
from blended.router.client_apis.all_apis import MESSAGES

Json = dict[str, Any]

HELLO = [{"role": "user", "content": "Hi"}]
LOOK = {"name": "look", "description": "Looks.", "input_schema": {"type": "object"}}


def asked(**fields: Any) -> Json:
    """The chat of a request, without fields that are null."""
    payload = {"model": "blend", "max_tokens": 9, "messages": HELLO, **fields}
    chat = MESSAGES.checked(payload, Api())
    return {name: value for name, value in chat.items() if value is not None}


def refused(**fields: Any) -> ApiError:
    """The error of a request."""
    with pytest.raises(ApiError) as caught:
        asked(**fields)
    assert caught.value.status == 400
    return caught.value


def test_system_and_stops_have_chats_places() -> None:
    """A system of blocks is one message, without the block that differs in every request."""
    system = [
        {"type": "text", "text": "x-anthropic-billing-header: cch=1"},
        {"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}},
        {"type": "text", "text": "Be kind."},
    ]
    chat = asked(system=system, stop_sequences=["END"], top_k=5, stream=True)

    assert chat == {
        "model": "blend",
        "max_tokens": 9,
        "messages": [{"role": "system", "content": "Be brief.\n\nBe kind."}, *HELLO],
        "stop": ["END"],
        "top_k": 5,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_calls_and_results_of_the_history_become_those_of_chat() -> None:
    """Thinking goes with the message; results come before what the user says with them."""
    history = [
        *HELLO,
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Hm.", "signature": ""},
                {"type": "redacted_thinking", "data": "x"},
                {"type": "text", "text": "I look."},
                {"type": "tool_use", "id": "1", "name": "look", "input": {"at": "sky"}},
                {"type": "tool_use", "id": "2", "name": "look", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "1", "content": "blue"},
                {"type": "tool_result", "tool_use_id": "2", "is_error": True, "content": "dark"},
                {"type": "text", "text": "And?"},
            ],
        },
    ]
    found = asked(messages=history)["messages"]

    functions = [
        {"name": "look", "arguments": '{"at": "sky"}'},
        {"name": "look", "arguments": "{}"},
    ]
    calls = [
        {"id": n, "type": "function", "function": f} for n, f in zip("12", functions, strict=True)
    ]
    failed = [{"type": "text", "text": "The tool failed."}, {"type": "text", "text": "dark"}]
    assert found == [
        *HELLO,
        {"role": "assistant", "content": "I look.", "reasoning": "Hm.", "tool_calls": calls},
        {"role": "tool", "tool_call_id": "1", "content": "blue"},
        {"role": "tool", "tool_call_id": "2", "content": failed},
        {"role": "user", "content": "And?"},
    ]


def test_images_and_documents_pass() -> None:
    """Data becomes an address; a document of text is a text."""
    source = {"type": "base64", "media_type": "image/png", "data": "eA=="}
    pdf = source | {"media_type": "application/pdf"}
    content = [
        {"type": "image", "source": source},
        {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}},
        {"type": "document", "title": "d", "source": pdf},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "t"}},
    ]
    [message] = asked(messages=[{"role": "user", "content": content}])["messages"]

    assert message["content"] == [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,eA=="}},
        {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
        {
            "type": "file",
            "file": {"filename": "d", "file_data": "data:application/pdf;base64,eA=="},
        },
        {"type": "text", "text": "t"},
    ]


@pytest.mark.parametrize(
    ("choice", "in_chat"),
    [
        ({"type": "auto"}, "auto"),
        ({"type": "any"}, "required"),
        ({"type": "none"}, "none"),
        ({"type": "tool", "name": "look"}, {"type": "function", "function": {"name": "look"}}),
    ],
)
def test_tools_and_their_choice_pass(choice: Json, in_chat: Any) -> None:
    """Whether calls may be parallel is a part of the choice."""
    parallel = {"disable_parallel_tool_use": True} if choice["type"] == "any" else {}
    chat = asked(tools=[LOOK | {"type": "custom"}], tool_choice=choice | parallel)

    function = {"name": "look", "description": "Looks.", "parameters": {"type": "object"}}
    assert chat["tools"] == [{"type": "function", "function": function}]
    assert chat["tool_choice"] == in_chat
    assert ("parallel_tool_calls" in chat) == bool(parallel)


@pytest.mark.parametrize("name", ["output_config", "output_format"])
def test_the_form_of_the_response_passes(name: str) -> None:
    """Both the field of the API and that of its beta are read."""
    form = {"type": "json_schema", "schema": {"type": "object"}}
    chat = asked(**{name: {"format": form} if name == "output_config" else form})

    assert chat["response_format"]["json_schema"]["schema"] == form["schema"]


@pytest.mark.parametrize(
    ("fields", "effort"),
    [
        ({}, None),
        ({"thinking": {"type": "disabled"}}, "none"),
        ({"thinking": {"type": "adaptive"}}, None),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, "low"),
        ({"thinking": {"type": "enabled", "budget_tokens": 2048}}, "medium"),
        ({"thinking": {"type": "enabled", "budget_tokens": 31999}}, "high"),
        (
            {
                "thinking": {"type": "enabled", "budget_tokens": 1024},
                "output_config": {"effort": "max"},
            },
            "max",
        ),
    ],
)
def test_thinking_becomes_an_effort(fields: Json, effort: str | None) -> None:
    """An effort goes before a budget, and without either the component's default holds."""
    assert asked(**fields).get("reasoning_effort") == effort


def test_a_beginning_of_the_answer_is_gone_on_with() -> None:
    """As in the Messages API, text of the assistant at the end is no turn of its own."""
    chat = asked(messages=[*HELLO, {"role": "assistant", "content": "The sky is"}])

    assert chat["continue_final_message"] is True
    assert chat["add_generation_prompt"] is False
    assert "continue_final_message" not in asked()


def test_what_breaks_no_promise_is_dropped() -> None:
    """Claude Code and the SDKs send these."""
    harmless = {
        "cache_control": {"type": "ephemeral"},
        "context_management": {"edits": [{"type": "clear_thinking_20251015"}]},
        "service_tier": "auto",
        "container": None,
    }

    assert asked(**harmless) == asked()
    assert asked(metadata={"user_id": "u"})["metadata"] == {"user_id": "u"}


@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        ({"max_tokens": 0}, "max_tokens", "whole number from 1"),
        ({"stop_sequences": 7}, "stop_sequences", "a list of at most 16 texts"),
        ({"mcp_servers": []}, "mcp_servers", "input_schema"),
        ({"response_format": {}}, "response_format", "/v1/chat/completions"),
        ({"tools": [{"type": "web_search_20250305"}]}, "tools[0].type", "web_search_20250305"),
        ({"tools": [{"name": "f"}]}, "tools[0].input_schema", "an object"),
        (
            {"tools": [LOOK], "tool_choice": {"type": "some"}},
            "tool_choice.type",
            "auto, any, none, tool",
        ),
        ({"thinking": {"type": "hard"}}, "thinking.type", "adaptive"),
        ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens", "whole number"),
        ({"output_config": {"effort": "huge"}}, "output_config.effort", "medium"),
        ({"output_config": {"format": {"type": "xml"}}}, "output_config.format.type", "schema"),
        ({"system": [{"type": "image"}]}, "system[0].type", "text"),
        ({"messages": []}, "messages", "at least one message"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role", "assistant"),
        ({"messages": [{"role": "user", "content": 7}]}, "messages[0].content", "content blocks"),
        (
            {"messages": [{"role": "user", "content": [{"type": "search_result"}]}]},
            "messages[0].content[0].type",
            "tool_result",
        ),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "image", "source": {"type": "file", "file_id": "f"}}],
                    }
                ]
            },
            "messages[0].content[0].source.type",
            "base64",
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
