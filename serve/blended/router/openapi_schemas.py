"""The schemas of the OpenAPI document: the fields that the router checks, and its answers."""

from collections.abc import Sequence
from typing import Any, get_args

from blended.journal.records import State
from blended.router.feedback import LONGEST_COMMENT
from blended.router.fields import CHAT_FIELDS, COMPLETION_FIELDS, Field, Fields
from blended.router.requests import ROLES

Json = dict[str, Any]


def schemas(models: Sequence[str], max_messages: int, choices: int) -> Json:
    """All schemas by name, for an API that has `models` and takes at most `max_messages`.

    `choices` is the largest `n` that all components keep.
    """
    n = {"type": ["integer", "null"], "minimum": 1, "maximum": choices}
    messages = _list(ref("Message")) | {"minItems": 1, "maxItems": max_messages}
    said = {"message": {"type": "object", "properties": {"role": {"const": "assistant"}}}}
    delta = {"delta": {"type": "object"}}
    return {
        "ChatRequest": request(models, CHAT_FIELDS, n, messages=messages),
        "CompletionRequest": request(models, COMPLETION_FIELDS, n, prompt=_PROMPT),
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
        "Version": _object(version=_TEXT),
        "Document": _object(openapi=_TEXT, paths={"type": "object"}),
        "Error": _object(error=_ERROR),
    }


def ref(name: str) -> Json:
    """A reference to the schema `name`."""
    return {"$ref": f"#/components/schemas/{name}"}


def request(models: Sequence[str], fields: Fields, n: Json | None, **subject: Json) -> Json:
    """The fields that are used; the router drops some other fields and refuses the rest.

    `n` is the schema of the number of choices, None for an API that has one.
    """
    used = {name: field for name, field in fields.items() if field.is_used}
    known = {
        "model": {"enum": list(models), "description": "The blend, or one of its components."},
        "metadata": _METADATA,
        **({"n": n | {"description": fields["n"].note}} if n is not None else {}),
        **subject,
    }
    properties = {name: known.get(name) or _optional(field) for name, field in used.items()}
    return {
        "type": "object",
        "description": "Numbers outside a component's range are moved to its nearest end.",
        "required": ["model", *subject],
        "properties": properties,
        "additionalProperties": False,
    }


def _optional(field: Field) -> Json:
    """A field that may also be null."""
    schema = dict(field.kind.schema) if field.kind else {}
    nullable = {"anyOf": [schema, {"type": "null"}]} if schema else {}
    return nullable | {"description": field.note}


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


def _object(**properties: Json) -> Json:
    """An object that has all of `properties`, and may have more."""
    return {"type": "object", "required": list(properties), "properties": properties}


_TEXT: Json = {"type": "string"}
_NOT_EMPTY: Json = {"type": "string", "minLength": 1}
_NAME: Json = {"type": ["string", "null"]}
_METADATA: Json = {
    "type": ["object", "null"],
    "properties": {
        "conversation_id": _NAME | {"description": "Names the conversation."},
        "user_id": _NAME | {"description": "Names the user."},
    },
}
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
    created={"type": "integer", "description": "When the router took the blend, in Unix seconds."},
    owned_by=_TEXT,
    kind={"enum": ["blend", "vllm", "remote", "simulated"]},
    description=_TEXT,
)
_MODEL["properties"]["selection"] = {
    "type": "object",
    "description": "Of the blend: the probability of each component.",
    "additionalProperties": {"type": "number", "minimum": 0, "maximum": 1},
}
_MODEL["properties"]["max_model_len"] = {
    "type": "integer",
    "description": "The context in tokens, where it is known; of the blend that of the component "
    "with the smallest. Longer histories lose their oldest turns.",
}
_IDS: Json = {
    "type": "array",
    "minItems": 1,
    "items": {"type": "integer", "minimum": 0, "maximum": 2**31 - 1},
}
_PROMPT: Json = {
    "anyOf": [
        _NOT_EMPTY,
        _IDS,
        {"type": "array", "minItems": 1, "maxItems": 16, "items": {"type": "string"}},
        {"type": "array", "minItems": 1, "maxItems": 16, "items": _IDS},
    ],
    "description": "A text, or token ids; or at most 16 of either.",
}
# Parts other than text have fields of their own, which only components know.
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
