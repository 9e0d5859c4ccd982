"""The fields of the Responses API: how the router handles each, and its valid values. One table."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from blended.router import values
from blended.router.client_apis.responses import schemas
from blended.router.client_apis.sampling import SAMPLING
from blended.router.fields import CHAT_FIELDS, Field
from blended.router.values import Kind

_STATELESS = "send the whole conversation in `input`"
_INCLUDABLE = (
    "reasoning.encrypted_content",
    "code_interpreter_call.outputs",
    "computer_call_output.output.image_url",
    "file_search_call.results",
    "message.input_image.image_url",
    "web_search_call.action.sources",
    "web_search_call.results",
)


def _false(reason: str) -> Kind:
    return Kind(f"false: {reason}", {"const": False}, lambda value: value is False)


def _includable() -> Kind:
    def holds(value: Any) -> bool:
        return isinstance(value, list) and all(name in _INCLUDABLE for name in value)

    schema = {"type": "array", "items": {"enum": list(_INCLUDABLE)}}
    return Kind(f"a list of {', '.join(_INCLUDABLE)}", schema, holds)


def _object(schema: Mapping[str, Any]) -> Kind:
    return Kind("an object", schema, lambda value: isinstance(value, dict))


_TEXT = Kind("a text", {"type": "string"}, lambda value: isinstance(value, str))
_FIELDS = (
    CHAT_FIELDS["model"],
    Field("input", "passed", "The conversation so far, made legal for the component."),
    Field("instructions", "passed", "A system message before it.", _TEXT),
    Field("max_output_tokens", "moved", "Most tokens of the response.", values.whole(1)),
    *SAMPLING,
    Field("stop", "passed", "Texts that end the response.", values.text_or_texts(16, 256)),
    CHAT_FIELDS["stream"],
    Field(
        "tools",
        "passed",
        "Functions that the model may call.",
        replace(values.tools(128), schema=schemas.TOOLS),
    ),
    Field(
        "tool_choice",
        "passed",
        "Whether the model calls a function, which one, or one of which.",
        replace(values.choice_of_tool(), schema=schemas.TOOL_CHOICE),
    ),
    CHAT_FIELDS["parallel_tool_calls"],
    Field("text", "passed", "`format` is the form of the response.", _object(schemas.FORM)),
    Field("reasoning", "passed", "`effort` is how long it thinks.", _object(schemas.REASONING)),
    *(CHAT_FIELDS[n] for n in ("metadata", "prompt_cache_key", "safety_identifier", "user")),
    Field(
        "store",
        "dropped",
        "Nothing is stored.",
        _false("no response is stored, so send the whole conversation in 'input'"),
    ),
    Field(
        "background",
        "dropped",
        "Responses are not made in the background.",
        _false("no response is made in the background, but any can be a stream"),
    ),
    Field("include", "dropped", "No response has these parts.", _includable()),
    Field("truncation", "dropped", "The window decides.", values.one_of("auto", "disabled")),
    Field("service_tier", "dropped", "There is one.", values.one_of("auto", "default")),
    Field(
        "stream_options",
        "dropped",
        "Events are not obfuscated, and every stream reports its usage.",
        values.flags("include_obfuscation", "include_usage"),
    ),
    Field("max_tool_calls", "dropped", "It counts hosted tools.", values.anything("anything")),
    Field("prompt_cache_options", "dropped", "Engines decide.", values.anything("anything")),
    Field("prompt_cache_retention", "dropped", "Engines decide.", values.anything("anything")),
    Field("client_metadata", "dropped", "It is for logs.", values.anything("anything")),
    Field("top_logprobs", "dropped", "Responses have none.", values.only(0)),
    Field("previous_response_id", "refused", f"no response is stored: {_STATELESS}"),
    Field("conversation", "refused", f"no conversation is stored: {_STATELESS}"),
    Field("prompt", "refused", "no prompt is stored: send `instructions` and `input`"),
    Field("context_management", "refused", "leave it out: the router cuts histories itself"),
    Field("moderation", "refused", "leave it out: nothing is moderated here"),
)

RESPONSES_FIELDS: Mapping[str, Field] = {field.name: field for field in _FIELDS}
# The names of this API for fields of chat, for errors.
NAMES: Mapping[str, str] = {
    "max_tokens": "max_output_tokens",
    "response_format": "text.format",
    "reasoning_effort": "reasoning.effort",
    "messages": "input",
}
