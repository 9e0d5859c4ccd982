"""Errors as the API's clients get them: a JSON document in the shape of the API that they use."""

import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from blended.errors import ApiError
from blended.router.client_apis.messages import document as messages

logger = logging.getLogger(__name__)

RESPONSE_ID_HEADER = "x-blended-response-id"
_LONGEST_ID = 128

# Called with HTTP status and error code when a request ends without a component's response.
OnRefusal = Callable[[int, str | None], None]


def error_response(error: ApiError) -> ASGIApp:
    """An error with its headers, and Retry-After if another try may help.

    The path of a request tells the API, and so the document's shape.
    """

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await _response(scope, error)(scope, receive, send)

    return app


def _response(scope: Scope, error: ApiError) -> Response:
    headers = dict(error.headers)
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(error.retry_after_s)
    return json_response(_document(scope, error), error.status, headers)


def json_response(
    document: Any, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """A JSON document that quotes clients or models.

    It is ASCII, because their texts may have lone surrogates, which UTF-8 cannot encode.
    """
    return Response(json.dumps(document), status, headers, media_type="application/json")


def _document(scope: Scope, error: ApiError) -> Mapping[str, Any]:
    if not f"{scope['path']}/".startswith("/v1/messages/"):
        return error.body()
    given = Headers(scope=scope).get("x-request-id", "")[:_LONGEST_ID] or None
    return messages.error(error, error.headers.get(RESPONSE_ID_HEADER) or given)


class Boundary:
    """An ASGI middleware that answers every exception raised before the response has begun."""

    def __init__(self, app: ASGIApp, on_refusal: OnRefusal) -> None:
        self._app, self._on_refusal = app, on_refusal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope["app"] = self  # Starlette's routes then raise instead of answering with plain text
        try:
            await self._app(scope, receive, send)
        except ClientDisconnect:
            pass  # the client has left
        except Exception as exc:  # noqa: BLE001 - this is the boundary
            error = _as_api_error(scope, exc)
            # An error with a response's id ends that response, and is counted with it.
            if RESPONSE_ID_HEADER not in error.headers:
                self._on_refusal(error.status, error.code)
            await error_response(error)(scope, receive, send)


def _as_api_error(scope: Scope, exc: Exception) -> ApiError:
    if isinstance(exc, ApiError):
        return exc
    if isinstance(exc, HTTPException):
        headers = exc.headers or {}
        allowed = f" Use {headers['Allow']}." if "Allow" in headers else ""
        message = f"{scope['method']} {scope['path']}: {exc.detail}.{allowed}"
        error = ApiError(exc.status_code, message)
        error.headers = headers
        return error
    logger.error("unhandled error on %s", scope["path"], exc_info=exc)
    return ApiError(500, "The router failed on this request; it was logged.")
