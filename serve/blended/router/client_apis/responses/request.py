"""A request of the Responses API in the words of chat. Pure functions."""

from typing import Any

from blended.router.client_apis import checks
from blended.router.client_apis.client_api import Translated
from blended.router.client_apis.responses.fields import RESPONSES_FIELDS
from blended.router.client_apis.responses.input import history
from blended.router.refusal import refuse
from blended.router.requests import Payload

Json = dict[str, Any]

_FUNCTION = ("name", "description", "parameters", "strict")
_HOSTED = "hosted tools do not run here"


def chat(payload: Payload) -> Translated:
    """The request of the Responses API as a chat.

    Raises:
        ApiError: 400, naming the field, its value and the right values.
    """
    checks.check(payload, RESPONSES_FIELDS)
    messages, places = history(payload.get("input"))
    if (instructions := payload.get("instructions")) is not None:
        messages.insert(0, {"role": "system", "content": instructions})
        places.insert(0, "instructions")
    translated = checks.kept(payload, RESPONSES_FIELDS) | {"messages": messages}
    translated |= _tools(payload) | _text(payload.get("text")) | _reasoning(payload)
    if payload.get("max_output_tokens") is not None:
        translated["max_tokens"] = payload["max_output_tokens"]
    if payload.get("stream"):
        translated["stream_options"] = {"include_usage": True}
    return Translated(translated, places)


def _tools(payload: Payload) -> Json:
    tools = [_tool(*found) for found in checks.items("tools", payload.get("tools") or [])]
    choice = payload.get("tool_choice")
    if isinstance(choice, dict):
        choice, tools = _choice(choice, tools)
    return {"tools": tools or None, "tool_choice": choice if tools else None}


def _tool(path: str, tool: Json) -> Json:
    if tool.get("type") != "function":
        refuse(f"{path}.type", tool.get("type"), f'give "function": {_HOSTED}')
    function = {name: tool[name] for name in _FUNCTION if tool.get(name) is not None}
    checks.text(f"{path}.name", tool.get("name"))
    return {"type": "function", "function": function}


def _choice(choice: Json, tools: list[Json]) -> tuple[Any, list[Json]]:
    """A choice that names tools, in the words of chat, and the tools that it leaves."""
    kind = choice.get("type")
    if kind == "function":
        name = checks.text("tool_choice.name", choice.get("name"))
        return {"type": "function", "function": {"name": name}}, tools
    if kind == "allowed_tools":
        allowed = checks.items("tool_choice.tools", choice.get("tools"))
        names = [checks.text(f"{path}.name", tool.get("name")) for path, tool in allowed]
        return choice.get("mode"), [t for t in tools if t["function"]["name"] in names]
    refuse("tool_choice.type", kind, f'give "function" or "allowed_tools": {_HOSTED}')


def _text(text: Any) -> Json:
    """The form of the response."""
    checks.only("text", text or {}, ("format", "verbosity"))
    if (verbosity := (text or {}).get("verbosity")) not in (None, "medium"):
        refuse("text.verbosity", verbosity, "say in 'instructions' how long responses shall be")
    form = checks.item("text.format", (text or {}).get("format") or {"type": "text"})
    if form.get("type") == "text":
        return {}
    if form.get("type") != "json_schema":
        return {"response_format": form}
    schema = {name: value for name, value in form.items() if name != "type" and value is not None}
    return {"response_format": {"type": "json_schema", "json_schema": schema}}


def _reasoning(payload: Payload) -> Json:
    reasoning = payload.get("reasoning") or {}
    checks.only("reasoning", reasoning, ("effort", "summary", "generate_summary", "context"))
    return {"reasoning_effort": reasoning.get("effort")}
