"""The schemas of the OpenAPI document for the APIs other than chat."""

import json
from collections.abc import Sequence
from typing import Any

from blended.router.client_apis.messages.fields import MESSAGES_FIELDS
from blended.router.client_apis.messages.schemas import messages_schema
from blended.router.client_apis.responses.fields import RESPONSES_FIELDS
from blended.router.client_apis.responses.schemas import input_schema
from blended.router.openapi_schemas import request

Json = dict[str, Any]

_OUTPUT: Json = {"type": "array", "items": {"type": "object"}}


def schemas(models: Sequence[str], max_messages: int) -> Json:
    """All schemas by name, for an API that has `models` and takes at most `max_messages`."""
    messages, inputs = messages_schema(max_messages), input_schema(max_messages)
    return {
        "ResponsesRequest": request(models, RESPONSES_FIELDS, None, input=inputs),
        "ResponsesResponse": _object(
            id=_TEXT,
            object={"const": "response"},
            status={"enum": ["completed", "incomplete"]},
            model=_TEXT,
            output=_OUTPUT,
        ),
        "ResponsesEvent": _EVENT,
        "MessagesRequest": request(models, MESSAGES_FIELDS, None, messages=messages),
        "MessagesResponse": _object(
            id=_TEXT, type={"const": "message"}, model=_TEXT, content=_OUTPUT, stop_reason=_TEXT
        ),
        "MessagesEvent": _EVENT,
        "MessagesTokens": _object(input_tokens={"type": "integer"}),
        "MessagesError": _object(
            type={"const": "error"},
            error=_object(type=_TEXT, message=_TEXT),
            request_id={"type": ["string", "null"]},
        ),
    }


def with_messages_errors(operation: Json) -> Json:
    """An operation of the Messages API, whose errors have a shape of their own."""
    text = json.dumps(operation).replace('/schemas/Error"', '/schemas/MessagesError"')
    changed: Json = json.loads(text)
    return changed


def _object(**properties: Json) -> Json:
    return {"type": "object", "required": list(properties), "properties": properties}


_TEXT: Json = {"type": "string"}
_EVENT = _object(
    event=_TEXT,
    data={
        "type": "string",
        "contentMediaType": "application/json",
        "contentSchema": _object(type=_TEXT),
    },
)
