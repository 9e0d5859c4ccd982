"""From a request's bytes to the body that a component gets: parse, check, bound. Pure functions."""

import json
from collections.abc import Callable
from itertools import chain
from typing import Any, NoReturn

from blended.config import Bound, Sampling
from blended.errors import ApiError

Payload = dict[str, Any]

ROLES = ("system", "developer", "user", "assistant", "tool", "function")
_INTEGERS = ("top_k", "max_tokens", "n")
_MAX_TOKENS_ALIAS = "max_completion_tokens"
# Deeper bodies could be read here and not by a component, which would then look broken.
_MAX_DEPTH = 100
# What an assistant's message may have while its content is null.
_INSTEAD_OF_CONTENT = ("tool_calls", "refusal", "function_call")


def parse(body: bytes) -> Payload:
    """Decode a request's JSON body.

    Raises:
        ApiError: 400, when it is no JSON object, or nested deeper than anything sensible.
    """
    try:
        payload = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as exc:
        raise ApiError(400, f"The body is not valid JSON: {exc}. Send one JSON object.") from exc
    if not isinstance(payload, dict):
        raise ApiError(400, f"The body is JSON but {_type(payload)}; send one JSON object.")
    if body.count(b"{") + body.count(b"[") > _MAX_DEPTH and _is_deep(payload):
        raise ApiError(400, f"The body is nested more than {_MAX_DEPTH} deep; send flatter JSON.")
    return payload


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(_MAX_DEPTH):
        inner = (v.values() if isinstance(v, dict) else v for v in level)
        level = [v for v in chain.from_iterable(inner) if isinstance(v, dict | list)]
    return bool(level)


def check_chat(payload: Payload) -> None:
    """Refuse what no component could answer as a chat.

    Raises:
        ApiError: 400, naming the field, its value and what would be right.
    """
    _check_common(payload)
    messages = payload.get("messages")
    if not isinstance(messages, list) or not messages:
        refuse("messages", messages, "give a list of at least one message")
    for index, message in enumerate(messages):
        _check_message(f"messages[{index}]", message)


def check_completion(payload: Payload) -> None:
    """Refuse what no component could complete.

    Raises:
        ApiError: 400, naming the field, its value and what would be right.
    """
    _check_common(payload)
    prompt = payload.get("prompt")
    if not isinstance(prompt, str | list) or not prompt:
        refuse("prompt", prompt, "give a text, or a list of texts or of token ids")


def component_body(payload: Payload, model: str, sampling: Sampling) -> Payload:
    """The same request for one component: its model name, its defaults, within its bounds.

    A stream always reports its usage, whether or not the client wants to see it.
    """
    body = {**payload, "model": model}
    if payload.get("stream"):
        body["stream_options"] = {**(payload.get("stream_options") or {}), "include_usage": True}
    for name in Sampling.model_fields:
        bound = getattr(sampling, name)
        if isinstance(bound, Bound):
            _apply(body, name, bound)
    if sampling.stop:
        body["stop"] = list(dict.fromkeys([*_as_list(payload.get("stop")), *sampling.stop]))
    return body


def response_tokens(body: Payload) -> int:
    """How many tokens the response to a component's body may have; 0 where it does not say."""
    limit = body.get(_MAX_TOKENS_ALIAS) or body.get("max_tokens") or 0
    return int(limit)


def _apply(body: Payload, name: str, bound: Bound) -> None:
    if name == "max_tokens" and body.get(_MAX_TOKENS_ALIAS) is not None:
        name = _MAX_TOKENS_ALIAS
    value = body.get(name)
    if value is None:
        value = bound.default
    if value is None:
        return
    value = max(value, bound.min) if bound.min is not None else value
    value = min(value, bound.max) if bound.max is not None else value
    body[name] = int(value) if name in (*_INTEGERS, _MAX_TOKENS_ALIAS) else value


def _check_common(payload: Payload) -> None:
    for name in (*Sampling.model_fields, _MAX_TOKENS_ALIAS, "stream"):
        value = payload.get(name)
        if value is not None:
            kind, remedy = _expected(name)
            if not kind(value):
                refuse(name, value, remedy)
    options = payload.get("stream_options")
    if options is not None and not isinstance(options, dict):
        refuse("stream_options", options, "give an object")


def _expected(name: str) -> tuple[Callable[[Any], bool], str]:
    if name == "stream":
        return (lambda value: isinstance(value, bool)), "give true or false"
    if name == "stop":
        return _is_stop, "give a text or a list of texts"
    if name in _INTEGERS or name == _MAX_TOKENS_ALIAS:
        return _is_integer, "give a whole number"
    return _is_number, "give a number"


def _check_message(path: str, message: Any) -> None:
    if not isinstance(message, dict):
        refuse(path, message, "give an object with 'role' and 'content'")
    role = message.get("role")
    if role not in ROLES:
        refuse(f"{path}.role", role, f"give one of {', '.join(ROLES)}")
    content = message.get("content")
    if content is None and role == "assistant" and any(map(message.get, _INSTEAD_OF_CONTENT)):
        return
    if isinstance(content, list):
        for index, part in enumerate(content):
            _check_part(f"{path}.content[{index}]", part)
    elif not isinstance(content, str):
        refuse(f"{path}.content", content, "give a text or a list of content parts")
    if role == "user" and not content:
        refuse(f"{path}.content", content, "give a text that is not empty")


def _check_part(path: str, part: Any) -> None:
    if not isinstance(part, dict) or not isinstance(part.get("type"), str):
        refuse(path, part, "give an object with a 'type'")
    if part["type"] == "text" and not isinstance(part.get("text"), str):
        refuse(f"{path}.text", part.get("text"), "give a text")


def refuse(param: str, value: Any, remedy: str) -> NoReturn:
    """Refuse a field's value.

    Raises:
        ApiError: 400, always.
    """
    shown = "missing" if value is None else f"{json.dumps(value)[:80]}, which is not valid"
    raise ApiError(400, f"'{param}' is {shown}; {remedy}.", "invalid_value", param)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _type(value: Any) -> str:
    return {list: "a list", str: "a text", bool: "a boolean", type(None): "null"}.get(
        type(value), "a number"
    )


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value] if value else []


def _is_stop(value: Any) -> bool:
    return isinstance(value, str) or (
        isinstance(value, list) and all(isinstance(v, str) for v in value)
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
