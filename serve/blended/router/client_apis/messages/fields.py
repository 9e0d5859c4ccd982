"""The fields of the Messages API: how the router handles each, and its valid values. One table."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from blended.router import values
from blended.router.client_apis.messages import schemas
from blended.router.client_apis.sampling import SAMPLING
from blended.router.fields import CHAT_FIELDS, Field
from blended.router.values import Kind

_ANYTHING = values.anything("anything")


def _object(schema: Mapping[str, Any]) -> Kind:
    return Kind("an object", schema, lambda value: isinstance(value, dict))


_SYSTEM = Kind(
    "a text or a list of text blocks",
    schemas.SYSTEM,
    lambda value: isinstance(value, str | list),
)
_FIELDS = (
    CHAT_FIELDS["model"],
    Field("messages", "passed", "The conversation so far, made legal for the component."),
    Field(
        "system", "passed", "A system message before it: a text, or a list of text blocks.", _SYSTEM
    ),
    CHAT_FIELDS["max_tokens"],
    *SAMPLING,
    Field(
        "stop_sequences",
        "passed",
        "Texts that end the response.",
        values.text_or_texts(16, 256),
    ),
    CHAT_FIELDS["stream"],
    Field(
        "tools",
        "passed",
        "Tools that the model may call.",
        replace(values.tools(128), schema=schemas.TOOLS),
    ),
    Field(
        "tool_choice",
        "passed",
        "Whether the model calls a tool, and which.",
        _object(schemas.TOOL_CHOICE),
    ),
    Field("thinking", "passed", "Whether it thinks, and how long.", _object(schemas.THINKING)),
    Field(
        "output_config",
        "passed",
        "`effort`, and the response's `format`.",
        _object(schemas.OUTPUT),
    ),
    Field(
        "output_format",
        "passed",
        "The same as `output_config.format`.",
        _object(schemas.FORMAT),
    ),
    Field(
        "metadata",
        "read",
        "`user_id`, `conversation_id` and `user_since` are used.",
        values.anything("an object, others are ignored"),
    ),
    Field("cache_control", "dropped", "Engines decide.", _ANYTHING),
    Field("context_management", "dropped", "The router cuts histories itself.", _ANYTHING),
    Field("diagnostics", "dropped", "There are none.", _ANYTHING),
    Field("service_tier", "dropped", "There is one.", values.one_of("auto", "standard_only")),
    Field("speed", "dropped", "There is one.", values.one_of("standard")),
    Field("container", "refused", "leave it out: hosted tools do not run here"),
    Field("mcp_servers", "refused", "leave it out, and give tools with an `input_schema`"),
)

MESSAGES_FIELDS: Mapping[str, Field] = {field.name: field for field in _FIELDS}
# The names of this API for fields of chat, for errors.
NAMES: Mapping[str, str] = {
    "stop": "stop_sequences",
    "response_format": "output_config.format",
    "reasoning_effort": "output_config.effort",
    "parallel_tool_calls": "tool_choice.disable_parallel_tool_use",
}
