"""The guard of a component: it admits only the router, and names the replica."""

import hmac

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from blended.internal import REPLICA_HEADER


class Guard:
    """An ASGI middleware that answers 401 to every request without the internal key.

    The key is sent as `Authorization: Bearer KEY`. Every answer names `replica`, if it is given.
    """

    def __init__(self, app: ASGIApp, key: str, replica: str | None) -> None:
        self._app = app
        self._expected = f"Bearer {key}".encode()
        self._headers = [(REPLICA_HEADER.encode(), replica.encode())] if replica else []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        if not hmac.compare_digest(given, self._expected):
            error = {"message": "This component answers only to its router.", "code": 401}
            await JSONResponse({"error": error}, 401)(scope, receive, send)
            return

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *self._headers]}
            await send(message)

        await self._app(scope, receive, named)
