"""JSON Schemas of a request of the Messages API: what it may hold, or a part of that."""

from typing import Any

from blended.router import values
from blended.router.client_apis.responses.schemas import described, effort

Json = dict[str, Any]

_TEXT: Json = {"type": "string"}
_NOT_EMPTY: Json = {"type": "string", "minLength": 1}


def messages_schema(max_messages: int) -> Json:
    """At most so many messages."""
    return {
        "type": "array",
        "minItems": 1,
        "maxItems": max_messages,
        "items": {"anyOf": _MESSAGES},
    }


def _list(*items: Json, least: int = 0) -> Json:
    return {"type": "array", "minItems": least, "items": {"anyOf": list(items)}}


_TEXT_BLOCK = described({"type": {"const": "text"}, "text": _TEXT})
_IMAGE = described(
    {
        "type": {"const": "image"},
        "source": described({"type": {"const": "url"}, "url": _TEXT}),
    }
)
_CALL = described(
    {"type": {"const": "tool_use"}, "id": _TEXT, "name": _TEXT, "input": {"type": "object"}}
)
_RESULT = described(
    {"type": {"const": "tool_result"}, "tool_use_id": _TEXT, "content": _TEXT},
    {"is_error": {"type": "boolean"}},
)
_MESSAGES = [
    described(
        {
            "role": {"const": "user"},
            "content": {"anyOf": [_NOT_EMPTY, _list(_TEXT_BLOCK, _IMAGE, _RESULT, least=1)]},
        }
    ),
    described(
        {
            "role": {"const": "assistant"},
            "content": {"anyOf": [_TEXT, _list(_TEXT_BLOCK, _CALL)]},
        }
    ),
]
SYSTEM: Json = {"anyOf": [_TEXT, _list(_TEXT_BLOCK)]}
TOOLS: Json = {
    "type": "array",
    "maxItems": 128,
    "items": described({"name": _TEXT, "input_schema": {"type": "object"}}, {"description": _TEXT}),
}
TOOL_CHOICE: Json = {
    "anyOf": [
        described(
            {"type": {"enum": ["auto", "any", "none"]}},
            {"disable_parallel_tool_use": {"type": "boolean"}},
        ),
        described({"type": {"const": "tool"}, "name": _TEXT}),
    ]
}
THINKING: Json = {
    "anyOf": [
        described({"type": {"enum": ["adaptive", "between_tools", "disabled"]}}),
        described({"type": {"const": "enabled"}, "budget_tokens": dict(values.whole(1).schema)}),
    ]
}
FORMAT: Json = described({"type": {"const": "json_schema"}, "schema": {"type": "object"}})
OUTPUT: Json = described({}, {"effort": effort(), "format": FORMAT})
