"""The traces of other models in a message: reasoning, tool calls and results."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from blended.router.history.content import Message, joined

# The fields of an assistant's message that are written out as text.
WRITTEN_OUT = frozenset(("tool_calls", "function_call", "refusal"))

_REASONING = frozenset(("reasoning_content", "reasoning", "reasoning_details", "thinking_blocks"))
_REASONING_PARTS = ("thinking", "redacted_thinking", "reasoning")


def without_reasoning(message: Message) -> Message:
    """The assistant's message without its reasoning, in fields, parts and `<think>` blocks."""
    content = message.get("content")
    spoken = content
    if isinstance(content, str):
        spoken = _without_thoughts(content)
    elif content:
        spoken = [part for part in map(_spoken_part, content) if part is not None]
    if spoken == content and _REASONING.isdisjoint(message):
        return message
    return {k: v for k, v in message.items() if k not in _REASONING} | {"content": spoken}


def _spoken_part(part: Message) -> Message | None:
    if part["type"] in _REASONING_PARTS:
        return None
    if part["type"] != "text" or (text := _without_thoughts(part["text"])) == part["text"]:
        return part
    return part | {"text": text} if text else None


def _without_thoughts(text: str) -> str:
    """Cut `<think>` blocks; a template may open or end one, so either mark can be missing."""
    if "<think>" not in text and "</think>" not in text:
        return text
    *closed, last = text.split("</think>")
    pieces = [piece.partition("<think>") for piece in closed]
    spoken = [before for before, mark, _ in pieces if mark]
    return "".join([*spoken, last.partition("<think>")[0]]).lstrip()


def without_empty_calls(message: Message) -> Message:
    """The assistant's message without a list of no calls, which some APIs refuse to read back."""
    if "tool_calls" in message and not message["tool_calls"]:
        return {name: value for name, value in message.items() if name != "tool_calls"}
    return message


def calls_of(message: Message) -> list[Any]:
    """The assistant's tool calls, in any shape."""
    calls = message.get("tool_calls") or []
    return calls if isinstance(calls, list) else [calls]


def names(calls: Iterable[Any]) -> dict[str, str]:
    """The functions' names by the ids of their calls."""
    return {id_: _function(call)[0] for call in calls if (id_ := _id(call)) is not None}


def are_answered(calls: Sequence[Any], following: Sequence[Message]) -> bool:
    """Whether the next messages are the results of the calls, one for each."""
    ids = {_id(call) for call in calls}
    results = {
        answered
        for message in following
        if message["role"] == "tool" and isinstance(answered := message.get("tool_call_id"), str)
    }
    return bool(calls) and len(ids) == len(calls) and ids == results


def _id(call: Any) -> str | None:
    """The id of a call in the shape that templates read; None in another shape."""
    if not isinstance(call, Mapping) or call.get("type", "function") != "function":
        return None
    function, id_ = call.get("function"), call.get("id")
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        return None
    has_arguments = isinstance(function.get("arguments"), str | Mapping)
    return id_ if has_arguments and isinstance(id_, str) else None


def _function(call: Any) -> tuple[str, str]:
    """The name and the arguments of a call of any kind, malformed ones included."""
    if not isinstance(call, Mapping):
        return "a tool", _as_text(call)
    spec = call.get("function") or call.get("custom") or call
    if not isinstance(spec, Mapping):
        return "a tool", _as_text(spec)
    return str(spec.get("name") or "a tool"), _as_text(spec.get("arguments", spec.get("input")))


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def with_calls_as_text(message: Message, calls: Sequence[Any]) -> Message:
    """The assistant's message with its refusal and its calls as text."""
    old_call = message.get("function_call")
    every_call = [*calls, old_call] if old_call else calls
    lines = ["[Called {} with {}]".format(*_function(call)) for call in every_call]
    refusal = message.get("refusal")
    contents = [message.get("content"), _as_text(refusal) if refusal else "", "\n".join(lines)]
    kept = {key: value for key, value in message.items() if key not in WRITTEN_OUT}
    return kept | {"content": joined(contents)}


def result_as_text(message: Message, names: Mapping[str, str]) -> Message:
    """A tool's message as a user message; `names` are the functions' names by call id."""
    answered = message.get("tool_call_id")
    name = names.get(answered) if isinstance(answered, str) else None
    title = f"[Result of {name or message.get('name') or 'a tool'}]"
    return {"role": "user", "content": joined([title, message.get("content")])}


def is_silent(message: Message) -> bool:
    """Whether the assistant's message has no text, media or call."""
    content = message.get("content")
    if content and isinstance(content, str) and not content.isspace():
        return False
    if isinstance(content, list) and not all(map(_is_blank, content)):
        return False
    return not message.get("tool_calls") and not message.get("audio")


def _is_blank(part: Message) -> bool:
    return part["type"] == "text" and not part["text"].strip()
