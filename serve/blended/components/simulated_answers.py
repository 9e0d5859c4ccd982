"""What a simulated component says where words are not enough: a tool's call, or JSON of a schema.

Values are the plainest that the schema allows: clients can read them, and they mean nothing.
Pure functions.
"""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Json = Any
Delta = dict[str, Any]

# About the length of a token.
_PIECE = 4
_DEEPEST = 20


@dataclass(frozen=True)
class Spoken:
    """An answer, token by token: the changes of a stream, and the reason to finish."""

    deltas: tuple[Delta, ...]
    finish_reason: str


def spoken(body: Mapping[str, Any]) -> Spoken | None:
    """The answer to a chat that asks for a tool's call or for JSON; None if words are enough.

    A tool is called wherever the client lets the component choose, unless a result came last; where
    the client requires a call, it is called all the same.
    """
    messages, tools, choice = body.get("messages"), body.get("tools"), body.get("tool_choice")
    if not messages:
        return None
    has_result = messages[-1].get("role") == "tool"
    if tools and choice != "none" and (_is_required(choice) or not has_result):
        return _call(_chosen(tools, choice, _called(messages)), len(messages))
    form = body.get("response_format") or {}
    schema = {"json_object": {}, "json_schema": form.get("json_schema", {}).get("schema", {})}
    if form.get("type") not in schema:
        return None
    text = json.dumps(instance(schema[form["type"]]) or {})
    return Spoken(tuple({"content": piece} for piece in _pieces(text)), "stop")


def whole(deltas: Sequence[Delta]) -> Delta:
    """The message that a stream's changes add up to."""
    content = "".join(delta.get("content") or "" for delta in deltas)
    calls = [delta["tool_calls"][0] for delta in deltas if "tool_calls" in delta]
    if not calls:
        return {"content": content}
    arguments = "".join(call["function"]["arguments"] for call in calls)
    first = {name: value for name, value in calls[0].items() if name != "index"}
    call = first | {"function": first["function"] | {"arguments": arguments}}
    return {"content": None, "tool_calls": [call]}


def instance(schema: Json, root: Json = None, depth: int = 0) -> Json:
    """A value that a JSON Schema allows, in its common parts: the first, the least, or empty."""
    if not isinstance(schema, Mapping) or depth > _DEEPEST:
        return None
    root = schema if root is None else root
    if (pointer := schema.get("$ref")) is not None:
        return instance(_resolved(root, str(pointer)), root, depth + 1)
    for name in ("enum", "examples"):
        if schema.get(name):
            return schema[name][0]
    for name in ("const", "default"):
        if name in schema:
            return schema[name]
    for name in ("anyOf", "oneOf", "allOf"):
        if schema.get(name):
            return instance(schema[name][0], root, depth + 1)
    kind = schema.get("type", "object" if "properties" in schema else None)
    kind = kind[0] if isinstance(kind, list) and kind else kind
    return _of_type(kind, schema, root, depth)


def _of_type(kind: Json, schema: Mapping[str, Any], root: Json, depth: int) -> Json:
    if kind == "object":
        inner = schema.get("properties") or {}
        return {name: instance(inner[name], root, depth + 1) for name in inner}
    if kind == "array":
        item = instance(schema.get("items"), root, depth + 1)
        return [item] * max(schema.get("minItems", 1), 0)
    if kind in ("integer", "number"):
        return schema.get("minimum", 0)
    plain = {"string": "simulated", "boolean": True}
    return plain.get(str(kind))


def _resolved(root: Json, pointer: str) -> Json:
    found = root
    for step in pointer.removeprefix("#").split("/")[1:]:
        found = found.get(step) if isinstance(found, Mapping) else None
    return found


def _is_required(choice: Json) -> bool:
    return choice == "required" or _named(choice) is not None


def _named(choice: Json) -> Json:
    return (choice.get("function") or {}).get("name") if isinstance(choice, Mapping) else None


def _called(messages: Sequence[Mapping[str, Any]]) -> set[Json]:
    """The names of the functions that the conversation has called."""
    calls = [call for message in messages for call in message.get("tool_calls") or ()]
    return {(call.get("function") or {}).get("name") for call in calls}


def _chosen(
    tools: Sequence[Mapping[str, Any]], choice: Json, called: Collection[Json]
) -> Mapping[str, Any]:
    """The function that the client names, or the first that was not called, or the last one."""
    functions = [tool.get("function") or {} for tool in tools]
    by_name = {function.get("name"): function for function in functions}
    if (named := by_name.get(_named(choice))) is not None:
        return named
    return next((f for f in functions if f.get("name") not in called), functions[-1])


def _call(function: Mapping[str, Any], turn: int) -> Spoken:
    arguments = json.dumps(instance(function.get("parameters")) or {})
    seed = f"{turn} {function.get('name')} {arguments}"
    head = {
        "index": 0,
        "id": f"call_{hashlib.blake2b(seed.encode(), digest_size=12).hexdigest()}",
        "type": "function",
        "function": {"name": function.get("name"), "arguments": ""},
    }
    pieces = [{"index": 0, "function": {"arguments": piece}} for piece in _pieces(arguments)]
    return Spoken(tuple({"tool_calls": [call]} for call in (head, *pieces)), "tool_calls")


def _pieces(text: str) -> list[str]:
    return [text[start : start + _PIECE] for start in range(0, len(text), _PIECE)]
