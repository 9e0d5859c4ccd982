"""Bodies that no sound client would send, and a few that one would; every draw is seeded."""

import copy
import json
from random import Random
from typing import Any

from blended.router.fields import CHAT_FIELDS, COMPLETION_FIELDS

Json = Any

SURROGATE = "\ud800"
TOO_LARGE_BYTES = 4 * 2**20 + 1
# What json.dumps cannot write stands in the body under these names first.
_RAW = {
    "@huge_float@": "1e999",
    "@tiny_float@": "-1e-999",
    "@huge_integer@": "9" * 400,
    "@endless_integer@": "7" * 5000,
    "@nan@": "NaN",
    "@infinity@": "-Infinity",
}
_ODD: list[Json] = [
    *_RAW,
    None,
    True,
    False,
    0,
    -1,
    1,
    2**63,
    0.5,
    -1e308,
    "",
    "0",
    "\x00",
    "\r\nX-Injected: 1",
    SURROGATE,
    "\udc00\ud83d",
    "\\ud83d",
    "../../etc/passwd",
    "a" * 5000,
    [],
    {},
    [None],
    [[]],
    {"type": "text"},
    {"role": "user", "content": "x"},
]
_SCHEMA = {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}}}
_MANY = {"json": {"enum": [str(n) for n in range(40_000)]}}
_FIELD_VALUES: dict[str, list[Json]] = {
    "response_format": [
        {"type": "text"},
        {"type": "json_object"},
        _SCHEMA,
        {"type": "json_schema"},
    ],
    "structured_outputs": [{"choice": ["a", "b"]}, {"regex": "a+"}, {"regex": "("}, _MANY, {}],
    "top_k": [-1, 0, 40, 10**29, "@huge_float@"],
    "n": [0, 1, 2, 128, 129],
    "min_tokens": [0, 1, 10**6],
    "stop": ["", [], ["a"] * 16, ["a"] * 17, "a" * 257],
    "stop_token_ids": [[], [1, 2], [2**31]],
    "logit_bias": [{}, {"1": 5}, {"1": 101}, {"999999999": -100}],
    "tool_choice": ["none", "auto", "required", {"type": "function", "function": {"name": "f"}}],
    "chat_template_kwargs": [{"enable_thinking": True}, {"chat_template": "x"}],
    "stream_options": [{}, {"include_usage": True}, {"continuous_usage_stats": True}, {"x": 1}],
    "modalities": [["text"], ["audio"]],
    "store": [True, False],
    "reasoning_effort": ["low", "none", "x"],
    "prompt": ["a", ["a"] * 16, ["a"] * 17, [1, 2], [[1], [2]]],
}
# Fields that the API has, refuses, or has never heard of.
_NAMES = [
    *sorted({*CHAT_FIELDS, *COMPLETION_FIELDS}),
    "kv_transfer_params",
    "priority",
    "vllm_xargs",
    "mm_processor_kwargs",
    "use_beam_search",
    "ignore_eos",
    "prompt_logprobs",
    "return_token_ids",
    "chat_template",
    "",
    SURROGATE,
]


def chat(rng: Random, model: str, stream: bool | None = None, max_tokens: int = 5) -> Json:
    """A sound chat request."""
    turns = rng.randrange(1, 5)
    messages = [_message(rng, "user" if i % 2 == 0 else "assistant") for i in range(turns)]
    if messages[-1]["role"] == "assistant":
        messages.append(_message(rng, "user"))
    if rng.random() < 0.3:
        messages.insert(0, _message(rng, rng.choice(("system", "developer"))))
    body = {
        "model": model,
        "messages": messages,
        "max_tokens": max_tokens,
        "stream": rng.random() < 0.5 if stream is None else stream,
    }
    if rng.random() < 0.3:
        body |= {"temperature": 0.7, "stop": ["END"], "n": 1, "metadata": {"conversation_id": "c"}}
    if body["stream"] and rng.random() < 0.5:
        body["stream_options"] = {"include_usage": True}
    return body


def mutated(rng: Random, body: Json) -> Json:
    """The body with one to three of its values replaced, removed or added."""
    body = copy.deepcopy(body)
    for _ in range(rng.randrange(1, 4)):
        parent, key = rng.choice(_places(body))
        action = rng.random()
        if action < 0.6:
            parent[key] = copy.deepcopy(rng.choice(_ODD))
        elif action < 0.75:
            del parent[key]
        else:
            body[rng.choice(_NAMES)] = copy.deepcopy(rng.choice(_ODD))
    return body


def with_field(rng: Random, body: Json) -> Json:
    """The body with one field of the table, of a value that it may have or that is too much."""
    name = rng.choice(_NAMES)
    return body | {name: copy.deepcopy(rng.choice(_FIELD_VALUES.get(name, _ODD)))}


def crowded(rng: Random, body: Json) -> bytes:
    """The body with very many messages, content parts, tool calls or empty objects."""
    count = rng.choice((1000, 5000, 50_000))
    part, message = {"type": "text", "text": "a"}, {"role": "user", "content": "a"}
    places: list[tuple[str, Json]] = [
        ("messages", [message] * count),
        ("messages", [{"role": "user", "content": [part] * count}]),
        ("messages", [{"role": "assistant", "tool_calls": [{"id": "c"}] * count}, message]),
        ("metadata", [[]] * count),
        ("logit_bias", {str(n): 1 for n in range(count)}),
        ("stop", ["a"] * count),
    ]
    name, value = rng.choice(places)
    return encoded(body | {name: value})


def odd_tools(rng: Random, body: Json) -> Json:
    """The body with tool calls and results of odd shapes in its history."""
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    if rng.random() < 0.8:
        call = mutated(rng, call)
    caller = {"role": "assistant", "content": rng.choice((None, "", [])), "tool_calls": [call]}
    if rng.random() < 0.3:
        caller["tool_calls"] = rng.choice(_ODD)
    result = {"role": "tool", "tool_call_id": rng.choice(("c1", *_ODD)), "content": "42"}
    return body | {"messages": [body["messages"][0], caller, result, _message(rng, "user")]}


def nested(rng: Random, body: Json) -> bytes:
    """The body with a value of some depth, around what a parser's recursion can take."""
    depth = rng.choice((10, 200, rng.randrange(850, 1050), 5000, 100_000))
    opening, closing = rng.choice((("[", "]"), ('{"a":', "}")))
    inner = opening * depth + "1" + closing * depth
    place = rng.randrange(6)
    if place == 0:
        return inner.encode()
    if place == 1:
        body["messages"][0]["content"] = [{"type": "image_url", "image_url": "@nested@"}]
    elif place == 2:
        body["messages"][0]["content"] = "@nested@"
    else:
        name = ("metadata", "stop", "response_format")[place - 3]
        body[name] = "@nested@"
    return encoded(body).replace(b'"@nested@"', inner.encode())


def duplicated(rng: Random, body: Json) -> bytes:
    """The body with one of its names twice, with different values."""
    name, value = rng.choice(list(body)), rng.choice(_ODD)
    twice = encoded({name: value})[:-1] + b"," + encoded(body)[1:]
    return twice if rng.random() < 0.5 else encoded(body)[:-1] + b"," + encoded({name: value})[1:]


def damaged(rng: Random, body: bytes) -> bytes:
    """The bytes cut off, or some of them replaced, or in another encoding."""
    action = rng.randrange(5)
    if action == 0:
        return body[: rng.randrange(len(body))]
    if action == 1:
        spoilt = bytearray(body)
        for _ in range(rng.randrange(1, 10)):
            spoilt[rng.randrange(len(spoilt))] = rng.randrange(256)
        return bytes(spoilt)
    if action == 2:
        return body.decode().encode(rng.choice(("utf-8-sig", "utf-16", "utf-32", "utf-16-le")))
    if action == 3:
        return body + body[: rng.randrange(1, 20)]
    return rng.choice((b"", b" ", b"null", b"[]", b'"x"', b"7", b"\x00", b"a=b&c=d", b"<x/>"))


def padded(rng: Random, body: Json, size_bytes: int) -> bytes:
    """The body with so long a message that it has the given size."""
    body["messages"][-1]["content"] = ""
    body["messages"][-1]["content"] = "a" * (size_bytes - len(encoded(body)))
    return encoded(body)


def encoded(body: Json) -> bytes:
    """JSON, with the raw numbers where their names stand."""
    text = json.dumps(body)
    for name, raw in _RAW.items():
        text = text.replace(f'"{name}"', raw)
    return text.encode()


def _message(rng: Random, role: str) -> Json:
    words = " ".join(rng.choice(("hello", "world", "tea", "Zürich", "🫖")) for _ in range(8))
    parts = [{"type": "text", "text": words}]
    return {"role": role, "content": words if rng.random() < 0.7 else parts}


def _places(value: Json) -> list[tuple[Json, Json]]:
    """Every container in a value with every key of it."""
    keys = list(value) if isinstance(value, dict) else []
    keys = list(range(len(value))) if isinstance(value, list) else keys
    found = [(value, key) for key in keys]
    for key in keys:
        found += _places(value[key])
    return found
