"""The documents of the Messages API: a message, its content blocks, and errors. Pure functions."""

import json
from typing import Any

from blended.errors import ApiError
from blended.router.client_apis.answer import Answer, Block, Usage
from blended.router.requests import Payload

Json = dict[str, Any]

_STOPS = {"length": "max_tokens", "content_filter": "refusal"}
_ERRORS = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def message(message_id: str, answer: Answer, request: Payload) -> Json:
    """A whole answer as a message."""
    return begun(message_id, answer) | {
        "content": [content_block(message_id, block) for block in answer.blocks],
        "usage": usage(answer.usage),
        **stop(answer, request),
    }


def begun(message_id: str, answer: Answer) -> Json:
    """A message that has no content yet; its usage is known at its end."""
    return {
        "id": message_id,
        "type": "message",
        "role": "assistant",
        "model": answer.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage(None),
    }


def stop(answer: Answer, request: Payload) -> Json:
    """Why an answer ended, and the client's text that ended it, if one did."""
    given = request.get("stop_sequences") or []
    named = answer.stop if answer.stop in ([given] if isinstance(given, str) else given) else None
    reason = _STOPS.get(answer.finish_reason or "")
    if reason is None and any(block.kind == "call" for block in answer.blocks):
        reason = "tool_use"
    elif reason is None:
        reason = "stop_sequence" if named else "end_turn"
    return {"stop_reason": reason, "stop_sequence": named if reason == "stop_sequence" else None}


def usage(reported: Usage | None) -> Json:
    """A message's usage; tokens read from a cache are not among its `input_tokens`."""
    if reported is None:
        return {"input_tokens": 0, "output_tokens": 0}
    cached = {} if reported.cached is None else {"cache_read_input_tokens": reported.cached}
    return {
        "input_tokens": reported.prompt - (reported.cached or 0),
        "cache_creation_input_tokens": 0,
        **cached,
        "output_tokens": reported.completion,
    }


def content_block(message_id: str, block: Block) -> Json:
    """A content block; chat's refusals are texts."""
    if block.kind == "reasoning":
        return {"type": "thinking", "thinking": block.text, "signature": ""}
    if block.kind == "call":
        return {**call(message_id, block), "input": _arguments(block.text)}
    return {"type": "text", "text": block.text}


def content_block_begun(message_id: str, block: Block) -> Json:
    """A content block without content."""
    if block.kind == "reasoning":
        return {"type": "thinking", "thinking": "", "signature": ""}
    return call(message_id, block) if block.kind == "call" else {"type": "text", "text": ""}


def call(message_id: str, block: Block) -> Json:
    """A tool call that has no arguments yet."""
    unique = message_id.partition("-")[2]
    tool_use_id = block.call_id or f"toolu_{unique}_{block.index}"
    return {"type": "tool_use", "id": tool_use_id, "name": block.name, "input": {}}


def error(failure: ApiError, request_id: str | None) -> Json:
    """An error in this API's shape; its type follows from the HTTP status."""
    default = "invalid_request_error" if failure.status < 500 else "api_error"
    described = {"type": _ERRORS.get(failure.status, default), "message": failure.message}
    return {"type": "error", "error": described, "request_id": request_id}


def _arguments(text: str) -> Json:
    """A call's arguments; what is no JSON object, such as one that was cut, stays a text."""
    try:
        decoded = json.loads(text or "{}")
    except (ValueError, RecursionError):
        decoded = None
    return decoded if isinstance(decoded, dict) else {"arguments": text}
