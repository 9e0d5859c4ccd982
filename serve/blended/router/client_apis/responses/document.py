"""The documents of the Responses API: a response and its output items. Pure functions."""

from typing import Any, Literal

from blended.errors import ApiError
from blended.router.client_apis.answer import Answer, Block, Usage
from blended.router.requests import Payload

Json = dict[str, Any]
Status = Literal["in_progress", "completed", "incomplete", "failed"]

_ITEM_PREFIXES = {"reasoning": "rs", "text": "msg", "refusal": "msg", "call": "fc"}
_REASONS = {"length": "max_output_tokens", "content_filter": "content_filter"}


def asked(request: Payload, response_id: str, started_at: float) -> Json:
    """The part of a response that repeats its request, or follows from it."""
    text = request.get("text") or {}
    reasoning = request.get("reasoning") or {}
    return {
        "id": response_id,
        "object": "response",
        "created_at": int(started_at),
        "background": False,
        "instructions": request.get("instructions"),
        "max_output_tokens": request.get("max_output_tokens"),
        "metadata": request.get("metadata") or {},
        "parallel_tool_calls": request.get("parallel_tool_calls") is not False,
        "previous_response_id": None,
        "prompt_cache_key": request.get("prompt_cache_key"),
        "reasoning": {"effort": reasoning.get("effort"), "summary": None},
        "safety_identifier": request.get("safety_identifier"),
        "service_tier": "default",
        "store": False,
        "temperature": request.get("temperature"),
        "text": {"format": text.get("format") or {"type": "text"}, "verbosity": "medium"},
        "tool_choice": request.get("tool_choice") or "auto",
        "tools": request.get("tools") or [],
        "top_p": request.get("top_p"),
        "truncation": request.get("truncation") or "disabled",
        "user": request.get("user"),
    }


def response(asked: Json, answer: Answer, status: Status, error: ApiError | None = None) -> Json:
    """A response as far as its answer has come."""
    reason = _REASONS.get(answer.finish_reason or "") if status == "incomplete" else None
    return asked | {
        "status": status,
        "model": answer.model,
        "output": [item(asked["id"], block) for block in answer.blocks],
        "usage": None if answer.usage is None else usage(answer.usage),
        "incomplete_details": {"reason": reason} if reason else None,
        "error": None if error is None else _error(error),
    }


def _error(error: ApiError) -> Json:
    code = "rate_limit_exceeded" if error.status == 429 else "server_error"
    return {"code": code, "message": error.message}


def usage(reported: Usage) -> Json:
    """A response's usage; cached tokens that the client may not know count as none."""
    return {
        "input_tokens": reported.prompt,
        "input_tokens_details": {"cached_tokens": reported.cached or 0, "cache_write_tokens": 0},
        "output_tokens": reported.completion,
        "output_tokens_details": {"reasoning_tokens": reported.reasoning},
        "total_tokens": reported.prompt + reported.completion,
    }


def item_id(response_id: str, block: Block) -> str:
    """The id of a block's output item."""
    unique = response_id.partition("-")[2]
    return f"{_ITEM_PREFIXES[block.kind]}_{unique}_{block.index}"


def item(response_id: str, block: Block, status: Status | None = None) -> Json:
    """The output item of a block; one that is `in_progress` has no content yet."""
    status = status or ("completed" if block.is_complete else "incomplete")
    begun = status == "in_progress"
    head = {"id": item_id(response_id, block), "status": status}
    content = [] if begun else [part(block, block.text)]
    if block.kind == "call":
        call_id = block.call_id or f"call_{head['id']}"
        arguments = "" if begun else block.text
        call = {"call_id": call_id, "name": block.name, "arguments": arguments}
        return {"type": "function_call", **head, **call}
    if block.kind == "reasoning":
        return {"type": "reasoning", **head, "summary": [], "content": content}
    return {"type": "message", **head, "role": "assistant", "content": content}


def part(block: Block, text: str) -> Json:
    """The content part of a block's item."""
    if block.kind == "reasoning":
        return {"type": "reasoning_text", "text": text}
    if block.kind == "refusal":
        return {"type": "refusal", "refusal": text}
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
