"""The OpenAPI document of the API: the requests that it takes, and every answer that it gives."""

from collections.abc import Sequence

import blended
from blended.config import BlendConfig
from blended.router import openapi_client_apis
from blended.router.endpoints import OPEN
from blended.router.fields import MOST_CHOICES
from blended.router.openapi_client_apis import with_messages_errors
from blended.router.openapi_schemas import Json, ref, schemas

_DESCRIPTION = """\
One chat model out of several: for every response one component is drawn at random, and it
generates the whole response from the shared history. The API is OpenAI's; fields that are not
described here are refused, unless every component that may be drawn asks for them."""


def document(blend: BlendConfig, components: Sequence[str]) -> Json:
    """The OpenAPI 3.1 document of a blend, whose models are its name and `components`."""
    models = [blend.name, *components]
    bounds = [component.sampling.n.max for component in blend.components]
    choices = min(int(most) for most in (*bounds, MOST_CHOICES) if most is not None)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"Blended: {blend.name}",
            "version": blended.__version__,
            "description": _DESCRIPTION,
        },
        "security": [{name: []} for name in _KEYS],
        "paths": _paths(models, blend.api.max_body_bytes),
        "components": {
            "securitySchemes": _KEYS,
            "schemas": schemas(models, blend.api.max_messages, choices)
            | openapi_client_apis.schemas(models, blend.api.max_messages),
            "headers": _ANSWER_HEADERS | _LIMIT_HEADERS | _RETRY_HEADERS,
        },
    }


def _paths(models: Sequence[str], max_body_bytes: int) -> Json:
    model = {"name": "model", "in": "path", "required": True, "schema": {"enum": list(models)}}
    response = {"name": "response", "in": "path", "required": True, "schema": _TEXT}
    one_model = _reading("One of the models.", "Model", {"404": _NO_MODEL})
    return {
        "/v1/models": {"get": _reading("The blend first, then its components.", "ModelList")},
        "/v1/models/{model}": {"parameters": [model], "get": one_model},
        "/v1/chat/completions": {
            "post": _generating("Answer a conversation.", "Chat", max_body_bytes)
        },
        "/v1/completions": {"post": _generating("Continue a text.", "Completion", max_body_bytes)},
        "/v1/responses": {
            "post": _generating("Answer, as OpenAI's Responses API.", "Responses", max_body_bytes)
        },
        **_messages(max_body_bytes),
        "/v1/feedback": {"post": _feedback(max_body_bytes)},
        "/v1/records/{response}": {
            "parameters": [response],
            "get": _reading("The record of a response.", "Record", {"404": _NO_RECORD}),
        },
        **{path: {"get": _HEALTH} for path in sorted(OPEN)},
        "/version": {"get": _reading("The version of Blended.", "Version")},
        "/openapi.json": {"get": _reading("This document.", "Document")},
    }


def _reading(summary: str, schema: str, more: Json | None = None) -> Json:
    responses = {"200": _answer(summary, schema), "401": _NO_KEY, "503": _UNAVAILABLE}
    return {"summary": summary, "responses": responses | (more or {})}


def _generating(summary: str, name: str, max_body_bytes: int) -> Json:
    """An operation that a component answers, with JSON or with a stream."""
    answer = _answer(
        "The response, or the stream of its pieces, of which the schema describes one event.",
        f"{name}Response",
        _ANSWER_HEADERS | _LIMIT_HEADERS,
    )
    answer["content"]["text/event-stream"] = {"schema": ref(f"{name}Event")}
    return {
        "summary": summary,
        "parameters": [_CONVERSATION, _USER, _SINCE, _IDEMPOTENCY],
        "requestBody": {"required": True, "content": _json(ref(f"{name}Request"))},
        "responses": {
            "200": answer,
            "400": _error("The body is no JSON object, or a field of it is not valid."),
            "401": _NO_KEY,
            "404": _NO_MODEL,
            "413": _error(f"The body exceeds {max_body_bytes} bytes."),
            "415": _error("The body is compressed."),
            "429": _BUSY,
            "503": _UNAVAILABLE,
        },
    }


def _messages(max_body_bytes: int) -> Json:
    """The paths of Anthropic's Messages API."""
    answering = _generating("Answer, as Anthropic's Messages API.", "Messages", max_body_bytes)
    counted = {"200": _answer("The largest count of a component.", "MessagesTokens")}
    counting = answering | {
        "summary": "Count the tokens of a request.",
        "responses": answering["responses"] | counted,
    }
    return {
        "/v1/messages": {"post": with_messages_errors(answering)},
        "/v1/messages/count_tokens": {"post": with_messages_errors(counting)},
    }


def _feedback(max_body_bytes: int) -> Json:
    return {
        "summary": "Say something about a response; a second of its kind replaces the first.",
        "requestBody": {"required": True, "content": _json(ref("FeedbackRequest"))},
        "responses": {
            "200": _answer("It is in the journal.", "Feedback"),
            "202": _answer("It is kept until the journal's database answers.", "Feedback"),
            "400": _error("The body is no JSON object, or a field of it is not valid."),
            "401": _NO_KEY,
            "404": _error("This key got no such response, or no journal is kept."),
            "410": _error("The response's record is no longer kept."),
            "413": _error(f"The body exceeds {max_body_bytes} bytes."),
            "415": _error("The body is compressed."),
            "429": _BUSY,
            "503": _UNAVAILABLE,
        },
    }


def _answer(description: str, schema: str, headers: Json | None = None) -> Json:
    references = {name: {"$ref": f"#/components/headers/{name}"} for name in headers or {}}
    answer: Json = {"description": description, "content": _json(ref(schema))}
    return answer | ({"headers": references} if references else {})


def _error(description: str, headers: Json | None = None) -> Json:
    return _answer(description, "Error", headers)


def _json(schema: Json) -> Json:
    return {"application/json": {"schema": schema}}


def _header(description: str, schema: Json) -> Json:
    return {"description": description, "schema": schema}


def _request_header(name: str, description: str, schema: Json) -> Json:
    return {"name": name, "in": "header", "schema": schema, "description": description}


_TEXT: Json = {"type": "string"}
_MOMENT: Json = {"type": "string", "format": "date-time"}
_COUNT: Json = {"type": "integer", "minimum": 0}
_SHARE: Json = {"type": "number", "minimum": 0, "maximum": 1}
_DURATION: Json = {"type": "string", "pattern": "^([0-9]+m)?[0-9]+s$"}

_ANSWER_HEADERS = {
    "x-blended-attempts": _header("How often a component was asked until one answered.", _COUNT),
    "x-blended-best-of": _header(
        "How many candidates the response was chosen from, and by what (`4; chosen_by=reward`, or "
        "`first`); or why there was one where several are configured (`1; reason=tools`).",
        _TEXT,
    ),
    "x-blended-component": _header("The component that answered, where that is revealed.", _TEXT),
    "x-blended-intended": _header("The component drawn first, where that is revealed.", _TEXT),
    "x-blended-propensity": _header("How likely the component was, where revealed.", _SHARE),
    "x-blended-response-id": _header("The response's id, of an error as well.", _TEXT),
    "x-blended-replica": _header("The component's replica, where that is revealed.", _TEXT),
}
_LIMIT_HEADERS = {
    "x-ratelimit-limit-requests": _header("Requests a minute, if the key has a limit.", _COUNT),
    "x-ratelimit-remaining-requests": _header("Requests left now.", _COUNT),
    "x-ratelimit-reset-requests": _header("When all are there again.", _DURATION),
    "x-ratelimit-limit-tokens": _header("Tokens a minute, if the key has a limit.", _COUNT),
    "x-ratelimit-remaining-tokens": _header("Tokens left now.", _COUNT),
    "x-ratelimit-reset-tokens": _header("When all are there again.", _DURATION),
}
_RETRY_HEADERS = {"retry-after": _header("Seconds to wait before trying again.", _COUNT)}

# The ways to send a key.
_KEYS: Json = {
    "key": {"type": "http", "scheme": "bearer"},
    "x-api-key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
    "api-key": {"type": "apiKey", "in": "header", "name": "api-key"},
}
_HEALTH = {
    "summary": "Whether the router runs; needs no key.",
    "security": [],
    "responses": {"200": _answer("It runs.", "Health")},
}
_NO_KEY = _error("The key is missing, unknown or expired.")
_NO_MODEL = _error("There is no such model.")
_NO_RECORD = _error(
    "This key got no such response, its record has not arrived, or no journal is kept.",
    _RETRY_HEADERS,
)
_BUSY = _error(
    "All replicas are busy, or the key has used its limit.", _RETRY_HEADERS | _LIMIT_HEADERS
)
_UNAVAILABLE = _error("No component is available, or none is known yet.", _RETRY_HEADERS)

_CONVERSATION = _request_header(
    "X-Conversation-ID", "Names the conversation; else it is derived.", _TEXT
)
_USER = _request_header("X-User-ID", "Names the user; else the body does.", _TEXT)
_SINCE = _request_header(
    "X-User-Since", "When the user came first, for experiments on new ones.", _MOMENT
)
_IDEMPOTENCY = _request_header("Idempotency-Key", "Repeats the draw of an earlier request.", _TEXT)
