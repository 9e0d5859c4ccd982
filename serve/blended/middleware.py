"""Closes the HTTP ports that Ray Serve opens, except for the API.

In HAProxy mode every replica listens on all interfaces. For all of these ports Ray takes the
middlewares from the function that RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH names.
"""

from ray import serve
from ray.serve.exceptions import RayServeException
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from blended.errors import ApiError
from blended.router.errors import error_response

# HAProxy asks here for the replica of a request, and gets its address.
_PICK = ("POST", "/internal/route")
_HEALTH = "/-/healthz"


def middlewares() -> list[Middleware]:
    """Ray Serve's hook: called in the process of every replica and proxy that opens a port."""
    return [Middleware(OnlyTheApi, picks_replicas=_deployment().startswith("LLMRouter"))]


class OnlyTheApi:
    """An ASGI middleware that hides Ray's own paths, and refuses headers on which Ray fails.

    Ray's health check stays open, because HAProxy needs it from other nodes. A process that
    `picks_replicas` of a component answers only requests for a pick.
    """

    def __init__(self, app: ASGIApp, picks_replicas: bool) -> None:
        self._app = app
        self._picks_replicas = picks_replicas

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif not self._is_shown(scope):
            error = ApiError(404, f"There is nothing at {scope['path'][:200]}.")
            await error_response(error)(scope, receive, send)
        elif (name := _undecodable(scope)) is not None:
            # Ray decodes some headers and would fail.
            message = f"The header '{name}' is not valid UTF-8; leave it out or encode it."
            await error_response(ApiError(400, message, "invalid_value"))(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _is_shown(self, scope: Scope) -> bool:
        path = scope["path"]
        if path == _HEALTH:
            return True
        if self._picks_replicas:
            return (scope.get("method"), path) == _PICK
        return not path.startswith("/-/")


def _undecodable(scope: Scope) -> str | None:
    """The name of the first header whose value is not UTF-8."""
    for name, value in scope["headers"]:
        if not value.isascii():
            try:
                value.decode()
            except UnicodeDecodeError:
                return str(name, "latin-1")
    return None


def _deployment() -> str:
    try:
        return serve.get_replica_context().deployment
    except RayServeException:
        return ""  # a proxy
