"""Errors as the API's clients get them: always a JSON document in OpenAI's shape."""

import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from blended.errors import ApiError

logger = logging.getLogger(__name__)

RESPONSE_ID_HEADER = "x-blended-response-id"

# Called with HTTP status and error code when a request ends without a component's response.
OnRefusal = Callable[[int, str | None], None]


def error_response(error: ApiError) -> Response:
    """An error with its headers, and Retry-After if another try may help."""
    headers = dict(error.headers)
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(error.retry_after_s)
    return json_response(error.body(), error.status, headers)


def json_response(
    document: Any, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """A JSON document that quotes clients or models.

    It is ASCII, because their texts may have lone surrogates, which UTF-8 cannot encode.
    """
    return Response(json.dumps(document), status, headers, media_type="application/json")


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
        message = f"{scope['method']} {scope['path']}: {exc.detail}."
        error = ApiError(exc.status_code, message)
        error.headers = exc.headers or {}
        return error
    logger.error("unhandled error on %s", scope["path"], exc_info=exc)
    return ApiError(500, "The router failed on this request; it was logged.")
