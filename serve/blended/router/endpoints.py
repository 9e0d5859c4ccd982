"""The endpoints of the API, and the way to them from a path that is none. One table.

python -m blended.router.fields_page writes docs/api.md from it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocketClose

from blended.errors import ApiError


@dataclass(frozen=True)
class Endpoint:
    """A method and a path. An `is_open` endpoint needs no key and counts for no limit."""

    method: str
    path: str
    note: str
    is_open: bool = False


ENDPOINTS = (
    Endpoint("POST", "/v1/chat/completions", "answers a conversation"),
    Endpoint("POST", "/v1/completions", "continues a text"),
    Endpoint("POST", "/v1/responses", "answers a conversation, as OpenAI's Responses API"),
    Endpoint("POST", "/v1/messages", "answers a conversation, as Anthropic's Messages API"),
    Endpoint("POST", "/v1/messages/count_tokens", "counts a request's tokens"),
    Endpoint("GET", "/v1/models", "the blend and its components; so does `/v1/models/`"),
    Endpoint("GET", "/v1/models/{model}", "one of them"),
    Endpoint("POST", "/v1/feedback", "takes what a user says of a response"),
    Endpoint("GET", "/v1/records/{response}", "the journal's record of a response"),
    Endpoint("GET", "/openapi.json", "all of this for machines"),
    Endpoint("GET", "/version", "the version of Blended"),
    Endpoint("GET", "/healthz", "whether the router runs", is_open=True),
    Endpoint("GET", "/health", "the same, under the name that vLLM gives it", is_open=True),
    Endpoint("GET", "/ping", "the same, under another name of vLLM's", is_open=True),
)
OPEN = frozenset(endpoint.path for endpoint in ENDPOINTS if endpoint.is_open)

_RECORDS, _RESPONSES = "/v1/records/", "/v1/responses"
_LONGEST = 200


async def nowhere(scope: Scope, receive: Receive, send: Send) -> None:
    """An ASGI application for all other paths.

    Raises:
        ApiError: 404, naming the path, and the right one if it is recognised.
    """
    if scope["type"] != "http":
        await WebSocketClose()(scope, receive, send)
        return
    method, path = scope["method"], scope["path"][:_LONGEST]
    raise ApiError(404, f"There is nothing at {method} {path}; {_remedy(path)}.")


def _remedy(path: str) -> str:
    """What the client has to change."""
    if path == _RESPONSES or path.startswith(f"{_RESPONSES}/"):
        record = _RECORDS + (path.removeprefix(_RESPONSES).strip("/") or "{id}")
        return f"responses are not stored here; GET {record} gives the journal's record of one"
    tail = _TAIL.search(path)
    if tail is None:
        return "GET /openapi.json lists the endpoints"
    meant = f"/v1{tail[1]}"
    if path == f"{meant}/":
        return f"the path is {meant}, without a slash at the end"
    if path.startswith(tail[1]):
        return f"add /v1 to the client's base URL, so that the path becomes {meant}"
    if path.startswith("/v1/v1/"):
        return f"the path is {meant}: this client adds /v1 itself, so leave it out of its base URL"
    return f"the path is {meant}: let the client's base URL end in /v1, with nothing behind it"


def _tails() -> Iterator[str]:
    """Expressions for the paths below /v1."""
    for endpoint in ENDPOINTS:
        below = endpoint.path.removeprefix("/v1")
        if below != endpoint.path:
            yield re.sub(r"\{\w+\}", "[^/]+", below)


# The leftmost match is the longest, `/chat/completions` rather than `/completions`.
_TAIL = re.compile(rf"({'|'.join(_tails())})/?$")
