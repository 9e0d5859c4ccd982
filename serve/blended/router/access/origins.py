"""The origins whose pages may call the API from a browser (CORS)."""

import re
from collections.abc import Sequence

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Scope

from blended.errors import ApiError

_ANY_PORT = ":*"


def is_preflight(scope: Scope) -> bool:
    """Whether a browser asks what a page may send, before it sends it."""
    asks = any(name == b"access-control-request-method" for name, _ in scope["headers"])
    return scope["method"] == "OPTIONS" and asks


def origin_of(scope: Scope) -> str | None:
    """The origin of the page that asks; None if no browser's page asks."""
    found = (value for name, value in scope["headers"] if name == b"origin")
    origin = next(found, None)
    return None if origin is None else origin.decode("latin-1")


def with_cors(app: ASGIApp, listed: Sequence[str]) -> CORSMiddleware:
    """An application whose answers the pages of these origins may read."""
    return CORSMiddleware(
        app,
        allow_origins=[origin for origin in listed if not origin.endswith(_ANY_PORT)],
        allow_origin_regex=_expression(listed),
        allow_methods=["GET", "POST"],
        allow_headers=["*"],
        expose_headers=["*"],
    )


def refusal(origin: str) -> ApiError:
    """The answer for a page that may not call; browsers show it among their network requests."""
    message = (
        f"Pages from the origin '{origin[:200]}' may not call this API; list it under "
        "'api.cors_origins' in the blend's file."
    )
    return ApiError(403, message, "origin_not_allowed")


def _expression(listed: Sequence[str]) -> str | None:
    """For `http://localhost:*`: that host with any port, and with none."""
    hosts = [re.escape(o.removesuffix(_ANY_PORT)) for o in listed if o.endswith(_ANY_PORT)]
    return rf"(?:{'|'.join(hosts)})(?::[0-9]+)?" if hosts else None
