"""The schemas of the OpenAPI document: the fields that the router checks, and what it answers."""

from collections.abc import Sequence
from typing import Any, get_args

from blended.journal.records import State
from blended.router.feedback import LONGEST_COMMENT
from blended.router.requests import ROLES

Json = dict[str, Any]

_NUMBERS = {
    "temperature": "Sampling temperature.",
    "top_p": "Share of the probability mass that is sampled from.",
    "min_p": "Least probability of a token, relative to the likeliest.",
    "presence_penalty": "Penalty on tokens that have appeared.",
    "frequency_penalty": "Penalty on tokens by how often they have appeared.",
    "repetition_penalty": "Factor against tokens of the prompt and the response.",
}
_INTEGERS = {
    "top_k": "How many of the likeliest tokens are sampled from.",
    "max_tokens": "Most tokens of the response.",
    "max_completion_tokens": "The same as max_tokens, and goes before it.",
    "n": "How many choices one component generates.",
}


def schemas(models: Sequence[str]) -> Json:
    """Every schema by its name, for an API that has `models`."""
    messages = {"type": "array", "minItems": 1, "items": ref("Message")}
    said = {"message": {"type": "object", "properties": {"role": {"const": "assistant"}}}}
    delta = {"delta": {"type": "object"}}
    return {
        "ChatRequest": _request(models, "messages", messages),
        "CompletionRequest": _request(models, "prompt", _PROMPT),
        "Message": {"anyOf": _MESSAGES},
        "Part": {"anyOf": _PARTS},
        "ChatResponse": _response("chat.completion", said),
        "ChatEvent": _event(_response("chat.completion.chunk", delta)),
        "CompletionResponse": _response("text_completion", {"text": _TEXT}),
        "CompletionEvent": _event(_response("text_completion", {"text": _TEXT})),
        "Model": _MODEL,
        "ModelList": _object(object={"const": "list"}, data=_list(ref("Model"))),
        "FeedbackRequest": {"anyOf": [_feedback(name, kind) for name, kind in _FEEDBACK.items()]},
        "Feedback": _object(
            object={"const": "feedback"},
            response_id=_TEXT,
            kind={"enum": list(_FEEDBACK)},
            status={
                "enum": ["recorded", "replaced", "queued"],
                "description": "Whether it took the place of one of its kind, or waits.",
            },
        ),
        "Record": _RECORD,
        "Health": _object(status={"const": "ok"}),
        "Document": _object(openapi=_TEXT, paths={"type": "object"}),
        "Error": _object(error=_ERROR),
    }


def ref(name: str) -> Json:
    """A reference to the schema `name`."""
    return {"$ref": f"#/components/schemas/{name}"}


def _request(models: Sequence[str], subject: str, schema: Json) -> Json:
    properties = {
        "model": {"enum": list(models), "description": "The blend, or one of its components."},
        subject: schema,
        **{name: _optional("number", text) for name, text in _NUMBERS.items()},
        **{name: _optional("integer", text) for name, text in _INTEGERS.items()},
        "stop": {"anyOf": [_optional("string", "Texts that end the response."), _list(_TEXT)]},
        "stream": _optional("boolean", "Send the response in pieces, as they come."),
        "stream_options": {
            "type": ["object", "null"],
            "properties": {"include_usage": {"type": "boolean"}},
        },
        "metadata": {
            "type": ["object", "null"],
            "properties": {
                "conversation_id": _optional("string", "Names the conversation."),
                "user_id": _optional("string", "Names the user."),
            },
        },
        "prompt_cache_key": _optional("string", "Names the conversation likewise."),
        "safety_identifier": _optional("string", "Names the user likewise."),
        "user": _optional("string", "Names the user likewise."),
    }
    return {
        "type": "object",
        "description": "Numbers outside a component's range are moved to its nearest end.",
        "required": ["model", subject],
        "properties": properties,
        "additionalProperties": True,
    }


def _response(kind: str, content: Json) -> Json:
    choice = _object(index={"type": "integer"}, **content)
    choice["properties"]["finish_reason"] = {"type": ["string", "null"]}
    return _object(
        id=_TEXT,
        object={"const": kind},
        created={"type": "integer"},
        model=_TEXT,
        choices=_list(choice),
    )


def _feedback(name: str, schema: Json) -> Json:
    return _object(response_id=_TEXT, **{name: schema}) | {"additionalProperties": False}


def _event(piece: Json) -> Json:
    """An event of a stream: a piece of the response, the error that cut it, or the end."""
    content = {"anyOf": [piece, ref("Error")]}
    json = {"type": "string", "contentMediaType": "application/json", "contentSchema": content}
    return _object(data={"anyOf": [{"const": "[DONE]"}, json]})


def _list(items: Json) -> Json:
    return {"type": "array", "items": items}


def _optional(kind: str, description: str) -> Json:
    return {"type": [kind, "null"], "description": description}


def _object(**properties: Json) -> Json:
    """An object that has all of `properties`, and maybe more."""
    return {"type": "object", "required": list(properties), "properties": properties}


_TEXT: Json = {"type": "string"}
_NOT_EMPTY: Json = {"type": "string", "minLength": 1}
_ERROR = _object(
    message=_NOT_EMPTY,
    type={"enum": ["invalid_request_error", "server_error"]},
    param={"type": ["string", "null"]},
    code={"type": ["string", "null"]},
)
_FEEDBACK: dict[str, Json] = {
    "thumb": {"enum": ["up", "down"]},
    "star": {"enum": [1, 2, 3, 4, 5]},
    "retry": {"type": "string", "description": "The id of the response that replaces this one."},
    "edit": {
        "type": "number",
        "minimum": 0,
        "maximum": 1,
        "description": "How much of the response's text the user changed.",
    },
    "comment": {
        "type": "string",
        "minLength": 1,
        "maxLength": LONGEST_COMMENT,
        "description": "Only where the deployment keeps texts.",
    },
}
_RECORD = _object(
    object={"const": "response.record"},
    response_id=_TEXT,
    started_at={"type": "number", "description": "Unix seconds, as all times here."},
    conversation=_TEXT,
    turn={"type": "integer"},
    state={"enum": list(get_args(State))},
    ttft_s={"type": ["number", "null"]},
    e2e_s={"type": "number"},
    prompt_tokens={"type": ["integer", "null"]},
    completion_tokens={"type": ["integer", "null"]},
    replaces={"type": ["string", "null"], "description": "The response that this one replaced."},
    feedback=_list(_object(kind={"enum": [*_FEEDBACK, "continued"]}, at={"type": "number"})),
)
_RECORD["description"] = "What the journal holds, the component's part where that is revealed."
_MODEL = _object(
    id=_TEXT,
    object={"const": "model"},
    created={"type": "integer"},
    owned_by=_TEXT,
    kind={"enum": ["blend", "vllm", "remote", "simulated"]},
    description=_TEXT,
)
_MODEL["properties"]["selection"] = {
    "type": "object",
    "description": "Of the blend: the probability of each component.",
    "additionalProperties": {"type": "number", "minimum": 0, "maximum": 1},
}
_PROMPT: Json = {
    "anyOf": [_NOT_EMPTY, {"type": "array", "minItems": 1}],
    "description": "A text, or a list of texts or of token ids.",
}
# Parts that are no text have fields of their own, which only components know.
_PARTS = [
    _object(type={"const": "text"}, text=_TEXT),
    _object(type={"type": "string", "not": {"const": "text"}}),
]
_CONTENT = [_TEXT, _list(ref("Part"))]
_USERS = [_NOT_EMPTY, _list(ref("Part")) | {"minItems": 1}]
_CALLS = _object(
    role={"const": "assistant"}, tool_calls=_list({"type": "object"}) | {"minItems": 1}
)
_CALLS["properties"]["content"] = {"type": "null"}
_MESSAGES = [
    _object(role={"const": "user"}, content={"anyOf": _USERS}),
    _object(role={"enum": [r for r in ROLES if r != "user"]}, content={"anyOf": _CONTENT}),
    _CALLS,
]
