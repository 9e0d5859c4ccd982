"""A simulated component calls tools and keeps to schemas, as far as a client can tell."""

import json
from typing import Any

import jsonschema
import pytest

from blended.components.simulated_answers import instance
from tests.support import HELLO, blend, events, rig

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "unit": {"enum": ["C", "F"]},
        "days": {"type": "integer", "minimum": 1},
        "tags": {"type": "array", "items": {"$ref": "#/$defs/tag"}, "minItems": 2},
        "wind": {"anyOf": [{"type": "number"}, {"type": "null"}]},
    },
    "required": ["city", "unit", "days", "tags", "wind"],
    "additionalProperties": False,
    "$defs": {"tag": {"type": "object", "properties": {"on": {"type": "boolean"}}}},
}
TOOL = {"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}
FORM = {"type": "json_schema", "json_schema": {"name": "s", "schema": SCHEMA}}


@pytest.mark.parametrize(
    "schema", [SCHEMA, {}, {"type": ["string", "null"]}, {"const": 3}, {"$ref": "#"}]
)
def test_an_instance_keeps_to_its_schema(schema: dict[str, Any]) -> None:
    """A schema that is only itself has no instance, and is not followed for ever."""
    value = instance(schema)

    if schema != {"$ref": "#"}:
        jsonschema.validate(value, schema)


@pytest.mark.parametrize("is_stream", [False, True])
async def test_a_tool_is_called_until_its_result_has_come(is_stream: bool) -> None:
    """Its arguments come in pieces in a stream, and fit its parameters."""
    async with rig(blend("a")) as r:
        response = await r.chat(tools=[TOOL], stream=is_stream)
        call, reason = _call(response, is_stream)
        messages = [
            *HELLO,
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": call["id"], "content": "12"},
        ]
        after = await r.chat(tools=[TOOL], messages=messages)

    assert reason == "tool_calls"
    assert call["function"]["name"] == "weather"
    jsonschema.validate(json.loads(call["function"]["arguments"]), SCHEMA)
    assert "simulated" in after.json()["choices"][0]["message"]["content"]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", None),
        ("required", "submit"),
        ({"type": "function", "function": {"name": "weather"}}, "weather"),
    ],
)
async def test_a_required_call_comes_after_a_result_as_well(choice: Any, expected: Any) -> None:
    """Agents that submit their answer by a tool call others first, and wait for that one."""
    submit = {"type": "function", "function": {"name": "submit", "parameters": SCHEMA}}
    function = {"name": "weather", "arguments": "{}"}
    messages = [
        *HELLO,
        {
            "role": "assistant",
            "tool_calls": [{"id": "c", "type": "function", "function": function}],
        },
        {"role": "tool", "tool_call_id": "c", "content": "12"},
    ]
    async with rig(blend("a")) as r:
        response = await r.chat(tools=[TOOL, submit], tool_choice=choice, messages=messages)

    message = response.json()["choices"][0]["message"]
    names = [call["function"]["name"] for call in message.get("tool_calls", [])]
    assert names == ([expected] if expected else [])


def _call(response: Any, is_stream: bool) -> tuple[dict[str, Any], str]:
    if not is_stream:
        (choice,) = response.json()["choices"]
        return choice["message"]["tool_calls"][0], choice["finish_reason"]
    chunks = [event["choices"][0] for event in events(response.content) if event != "[DONE]"]
    calls = [chunk["delta"]["tool_calls"][0] for chunk in chunks]
    arguments = "".join(call["function"]["arguments"] for call in calls)
    function = calls[0]["function"] | {"arguments": arguments}
    return calls[0] | {"function": function}, chunks[-1]["finish_reason"]


async def test_a_response_keeps_to_the_schema_that_is_asked_for() -> None:
    """It is JSON without any meaning."""
    async with rig(blend("a")) as r:
        response = await r.chat(response_format=FORM)

    jsonschema.validate(json.loads(response.json()["choices"][0]["message"]["content"]), SCHEMA)


async def test_a_limit_of_tokens_cuts_an_answer() -> None:
    """The reason to finish says so."""
    async with rig(blend("a")) as r:
        (choice,) = (await r.chat(response_format=FORM, max_tokens=2)).json()["choices"]

    assert choice["finish_reason"] == "length"
    assert len(choice["message"]["content"]) == 8
