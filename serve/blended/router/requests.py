"""From a request's bytes to the body that a component gets: parse, check, bound. Pure functions."""

import json
import re
from collections.abc import Collection, Sequence
from itertools import chain
from typing import Any, NoReturn, TypeGuard

from blended.config import Api, Bound, Sampling
from blended.errors import ApiError
from blended.router import fields
from blended.router.fields import CHAT_FIELDS, COMPLETION_FIELDS, PASSED_STREAM_OPTIONS, Fields
from blended.router.refusal import refuse
from blended.router.values import are_token_ids

Payload = dict[str, Any]

ROLES = ("system", "developer", "user", "assistant", "tool", "function")
_INTEGERS = ("top_k", "max_tokens", "n")
_MAX_TOKENS_ALIAS = "max_completion_tokens"
# The router could read deeper bodies, but a component could not, and would look broken.
_MAX_DEPTH = 100
# Objects and lists take longer to build and to traverse than texts of the same length.
_MAX_CONTAINERS, _MAX_VALUES = 2**16, 2**18
_UNMARKED = bytes(set(range(256)) - set(b'"{[,'))
_MAX_PROMPTS = 16
# Where a body may hold surrogates: escaped, or in bytes that are not quite UTF-8.
_SURROGATE_BYTES = re.compile(rb"\\u[dD][89a-fA-F]|\xed[\xa0-\xbf]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_DEFAULTS = Api()


def parse(body: bytes) -> Payload:
    """Decode a request's JSON body.

    Half a surrogate pair, which JSON can carry and no engine can encode, becomes U+FFFD, as
    browsers write it.

    Raises:
        ApiError: 400, the body is not a JSON object, or has too many objects and lists, or nests
            them too deeply.
    """
    if _is_crowded(body):
        message = (
            f"The body is JSON of more than {_MAX_CONTAINERS} objects and lists, or of more than "
            f"{_MAX_VALUES} values; send fewer."
        )
        raise ApiError(400, message, "invalid_value")
    try:
        payload = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as exc:
        raise ApiError(400, f"The body is not valid JSON: {exc}. Send one JSON object.") from exc
    if not isinstance(payload, dict):
        raise ApiError(400, f"The body is JSON but {_type(payload)}; send one JSON object.")
    if _containers(body) > _MAX_DEPTH and _is_deep(payload):
        raise ApiError(400, f"The body is nested more than {_MAX_DEPTH} deep; send flatter JSON.")
    has_marks = b"\\u" in body or b"\xed" in body  # far quicker to look for than the pattern
    return _encodable(payload) if has_marks and _SURROGATE_BYTES.search(body) else payload


def _encodable(payload: Payload) -> Payload:
    text = json.dumps(payload, ensure_ascii=False)
    whole: Payload = json.loads(_SURROGATE.sub("\ufffd", text))
    return whole


def _containers(text: bytes) -> int:
    """The opening brackets of objects and lists in a JSON text, those inside strings included."""
    return text.count(b"{") + text.count(b"[")


def _is_crowded(body: bytes) -> bool:
    """Whether JSON has more objects, lists or values than the router takes the time to build.

    This is decided before any is built, in a few steps that take milliseconds each.
    """
    if _containers(body) <= _MAX_CONTAINERS and body.count(b",") <= _MAX_VALUES:
        return False
    unescaped = body.replace(rb"\\", b"").replace(rb"\"", b"")
    # An empty pair of quotes, once other characters are removed, holds nothing to count.
    marks = unescaped.translate(None, _UNMARKED).replace(b'""', b"")
    if marks.count(b'"') > 2 * _MAX_CONTAINERS:
        return True
    outside = b"".join(marks.split(b'"')[::2])
    return _containers(outside) > _MAX_CONTAINERS or outside.count(b",") > _MAX_VALUES


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(_MAX_DEPTH):
        inner = (v.values() if isinstance(v, dict) else v for v in level)
        level = [v for v in chain.from_iterable(inner) if isinstance(v, dict | list)]
    return bool(level)


def check_chat(payload: Payload, limits: Api = _DEFAULTS) -> None:
    """Refuse a chat that no component could answer, or only at the cost of other requests.

    Raises:
        ApiError: 400, naming the field, its value and the right values.
    """
    fields.check(payload, CHAT_FIELDS)
    messages = payload.get("messages")
    if not isinstance(messages, list) or not messages:
        refuse("messages", messages, "give a list of at least one message")
    if len(messages) > limits.max_messages:
        _refuse_many("messages", len(messages), limits.max_messages)
    parts = sum(map(_parts, messages))
    if parts > limits.max_parts:
        _refuse_many("messages", parts, limits.max_parts, "content parts and tool calls")
    for index, message in enumerate(messages):
        _check_message(f"messages[{index}]", message)


def check_completion(payload: Payload, limits: Api = _DEFAULTS) -> None:
    """Refuse a prompt that no component could complete, or only at the cost of other requests.

    Raises:
        ApiError: 400, naming the field, its value and the right values.
    """
    fields.check(payload, COMPLETION_FIELDS)
    prompt = payload.get("prompt")
    if not _is_prompt(prompt):
        refuse("prompt", prompt, "give a text, a list of token ids, or a list of either")
    if _is_batch(prompt) and len(prompt) > _MAX_PROMPTS:
        _refuse_many("prompt", len(prompt), _MAX_PROMPTS, "prompts")


def check_choices(payload: Payload, bounds: Sequence[Bound]) -> None:
    """Refuse a number of choices that a component which may be drawn would not keep.

    It is not moved, because a client that gets fewer choices than it asked for breaks.

    Raises:
        ApiError: 400, naming the numbers that all of them keep.
    """
    if (n := payload.get("n")) is None:
        return
    least = max((bound.min for bound in bounds if bound.min is not None), default=1)
    most = min((bound.max for bound in bounds if bound.max is not None), default=n)
    if not least <= n <= most:
        kept = "the range that the components have under 'sampling'"
        refuse("n", n, f"give a whole number from {least:g} to {most:g}, {kept}")


def component_body(
    payload: Payload,
    model: str,
    sampling: Sampling,
    known: Fields = CHAT_FIELDS,
    passthrough: Collection[str] = (),
) -> Payload:
    """The request for one component: with its model name and defaults, within its bounds.

    It keeps the fields of `known` that reach components, and those in the component's
    `passthrough`. A stream always reports its usage, whether or not the client asked for it.
    """
    body = {**fields.passed(payload, known, passthrough), "model": model}
    options = payload.get("stream_options") or {}
    shown = {name: options[name] for name in PASSED_STREAM_OPTIONS if name in options}
    if payload.get("stream"):
        body["stream_options"] = shown | {"include_usage": True}
    elif options:
        body["stream_options"] = shown
    for name in Sampling.model_fields:
        bound = getattr(sampling, name)
        if isinstance(bound, Bound):
            _apply(body, name, bound)
    if body.get("tools") == []:  # some clients write it for no tools, and engines refuse it
        del body["tools"]
    if body.get("continue_final_message"):
        body.setdefault("add_generation_prompt", False)
    if sampling.stop:
        body["stop"] = list(dict.fromkeys([*_as_list(payload.get("stop")), *sampling.stop]))
    return body


def response_tokens(body: Payload) -> int:
    """The token limit in a component's body for its response; 0 if there is none."""
    limit = body.get(_MAX_TOKENS_ALIAS) or body.get("max_tokens") or 0
    return int(limit)


def limit_name(body: Payload) -> str:
    """The field that limits a response's tokens in a request or body."""
    return _MAX_TOKENS_ALIAS if body.get(_MAX_TOKENS_ALIAS) is not None else "max_tokens"


def bounded(payload: Payload, name: str, sampling: Sampling) -> Any:
    """A sampling parameter as a component gets it; None if neither side sets it."""
    body = {name: payload.get(name)}
    _apply(body, name, getattr(sampling, name))
    return body[name]


def token_limit(payload: Payload, sampling: Sampling) -> int:
    """The token limit that a component gets for one choice of its response; 0 if there is none."""
    body = {name: payload.get(name) for name in ("max_tokens", _MAX_TOKENS_ALIAS)}
    _apply(body, "max_tokens", sampling.max_tokens)
    return response_tokens(body)


def most_tokens(payload: Payload, sampling: Sampling) -> int:
    """The most tokens that a component generates for a request, over all choices.

    0 for each choice that has no limit.
    """
    choices = bounded(payload, "n", sampling) or 1
    return token_limit(payload, sampling) * choices * len(prompts(payload))


def prompts(payload: Payload) -> list[Any]:
    """The prompts of a request, each a text or token ids; for a chat the only one is None."""
    prompt = payload.get("prompt")
    return prompt if _is_batch(prompt) else [prompt]


def _apply(body: Payload, name: str, bound: Bound) -> None:
    if name == "max_tokens":
        name = limit_name(body)
    value = body.get(name)
    if value is None:
        value = bound.default
    if value is None:
        return
    if name == "top_k" and value < 1:  # it stands for all tokens, which no minimum forbids
        value = value if bound.max is None else bound.max
    else:
        value = max(value, bound.min) if bound.min is not None else value
        value = min(value, bound.max) if bound.max is not None else value
    body[name] = int(value) if name in (*_INTEGERS, _MAX_TOKENS_ALIAS) else value


def _parts(message: Any) -> int:
    """How many content parts and tool calls a message has."""
    if not isinstance(message, dict):
        return 0
    inner = (message.get("content"), message.get("tool_calls"))
    return sum(len(value) for value in inner if isinstance(value, list))


def _is_prompt(prompt: Any) -> bool:
    if not _is_batch(prompt):
        return bool(prompt) and (isinstance(prompt, str) or _are_ids(prompt))
    return all(isinstance(one, str) for one in prompt) or all(map(_are_ids, prompt))


def _is_batch(prompt: Any) -> TypeGuard[list[Any]]:
    """Whether the value is a list of prompts, not one prompt."""
    return isinstance(prompt, list) and bool(prompt) and isinstance(prompt[0], str | list)


def _are_ids(prompt: Any) -> bool:
    return isinstance(prompt, list) and bool(prompt) and are_token_ids(prompt)


def _check_message(path: str, message: Any) -> None:
    if not isinstance(message, dict):
        refuse(path, message, "give an object with 'role' and 'content'")
    role = message.get("role")
    if role not in ROLES:
        refuse(f"{path}.role", role, f"give one of {', '.join(ROLES)}")
    content = message.get("content")
    if content is None and role == "assistant":
        return  # it may have called tools, thought only, or spoken in sound
    if isinstance(content, list):
        for index, part in enumerate(content):
            _check_part(f"{path}.content[{index}]", part)
    elif not isinstance(content, str):
        refuse(f"{path}.content", content, "give a text or a list of content parts")


def _check_part(path: str, part: Any) -> None:
    if not isinstance(part, dict) or not isinstance(part.get("type"), str):
        refuse(path, part, "give an object with a 'type'")
    if part["type"] == "text" and not isinstance(part.get("text"), str):
        refuse(f"{path}.text", part.get("text"), "give a text")


def _refuse_many(param: str, count: int, most: int, what: str | None = None) -> NoReturn:
    message = f"'{param}' has {count} {what or param}; send at most {most}."
    raise ApiError(400, message, "invalid_value", param)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _type(value: Any) -> str:
    return {list: "a list", str: "a text", bool: "a boolean", type(None): "null"}.get(
        type(value), "a number"
    )


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value] if value else []
