"""JSON Schemas of a request of the Responses API: what it may hold, or a part of that."""

from typing import Any

from blended.router.fields import CHAT_FIELDS

Json = dict[str, Any]

_TEXT: Json = {"type": "string"}
_NOT_EMPTY: Json = {"type": "string", "minLength": 1}


def described(required: Json, optional: Json | None = None) -> Json:
    """An object that has all of `required`, may have `optional`, and nothing else."""
    properties = required | (optional or {})
    return {
        "type": "object",
        "required": list(required),
        "properties": properties,
        "additionalProperties": False,
    }


def effort() -> Json:
    """The efforts of chat."""
    kind = CHAT_FIELDS["reasoning_effort"].kind
    return dict(kind.schema) if kind else {}


def input_schema(max_messages: int) -> Json:
    """A text, or at most so many items."""
    items = {"type": "array", "minItems": 1, "maxItems": max_messages, "items": {"anyOf": _ITEMS}}
    return {"anyOf": [_NOT_EMPTY, items]}


TOOLS: Json = {
    "type": "array",
    "maxItems": 128,
    "items": described(
        {"type": {"const": "function"}, "name": _TEXT},
        {"description": _TEXT, "parameters": {"type": "object"}, "strict": {"type": "boolean"}},
    ),
}
TOOL_CHOICE: Json = {
    "anyOf": [
        {"enum": ["none", "auto", "required"]},
        described({"type": {"const": "function"}, "name": _TEXT}),
    ]
}
_FORMATS = [
    described({"type": {"enum": ["text", "json_object"]}}),
    described(
        {"type": {"const": "json_schema"}, "name": _TEXT, "schema": {"type": "object"}},
        {"description": _TEXT, "strict": {"type": "boolean"}},
    ),
]
FORM: Json = described({}, {"format": {"anyOf": _FORMATS}})
REASONING: Json = described(
    {}, {"effort": effort(), "summary": {"enum": ["auto", "concise", "detailed"]}}
)
_PART = described({"type": {"const": "input_text"}, "text": _TEXT})
_MESSAGE: Json = {"type": {"const": "message"}}
_ITEMS = [
    described({"role": {"const": "user"}, "content": _NOT_EMPTY}, _MESSAGE),
    described(
        {"role": {"const": "user"}, "content": {"type": "array", "minItems": 1, "items": _PART}},
        _MESSAGE,
    ),
    described({"role": {"enum": ["assistant", "system", "developer"]}, "content": _TEXT}, _MESSAGE),
    described(
        {
            "type": {"const": "function_call"},
            "call_id": _TEXT,
            "name": _TEXT,
            "arguments": _TEXT,
        }
    ),
    described({"type": {"const": "function_call_output"}, "call_id": _TEXT, "output": _TEXT}),
]
