"""Errors as the API's clients get them: always a JSON document in OpenAI's shape."""

import logging
from collections.abc import Callable
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from blended.errors import ApiError

logger = logging.getLogger(__name__)


def error_response(error: ApiError) -> Response:
    """An error with its headers, Retry-After among them where trying again may help."""
    headers = dict(error.headers)
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(error.retry_after_s)
    return JSONResponse(error.body(), error.status, headers)


def handlers() -> dict[Any, Callable[[Request, Any], Response]]:
    """Starlette's handlers for whatever ends a request before its response has begun."""
    return {
        ApiError: _on_api_error,
        HTTPException: _on_http_exception,
        ClientDisconnect: _on_disconnect,
        Exception: _on_bug,
    }


def _on_api_error(_: Request, exc: ApiError) -> Response:
    return error_response(exc)


def _on_http_exception(request: Request, exc: HTTPException) -> Response:
    message = f"{request.method} {request.url.path}: {exc.detail}."
    error = ApiError(exc.status_code, message)
    error.headers = exc.headers or {}
    return error_response(error)


def _on_disconnect(_: Request, exc: ClientDisconnect) -> Response:
    return Response(status_code=499)  # nobody is left to read it


def _on_bug(request: Request, exc: Exception) -> Response:
    logger.error("unhandled error on %s", request.url.path, exc_info=exc)
    return error_response(ApiError(500, "The router failed on this request; it was logged."))
