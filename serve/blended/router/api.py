"""The OpenAI-compatible API: a plain ASGI application that knows components by HTTP only."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import aiohttp
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from blended.errors import ApiError
from blended.router import models, openapi, requests
from blended.router.access import KEY, Access, Gate
from blended.router.availability import Availability
from blended.router.blend import Blend
from blended.router.dispatch import CHAT, Inquiry
from blended.router.errors import Boundary
from blended.router.keys import Key
from blended.router.response import Ending, RelayedResponse
from blended.router.turns import turn_of

COMPLETIONS = "/completions"


class Api:
    """The routes and what they need: the blend and the access to it, both of which may change.

    `on_end` hears of every response of a component, or lack of one.
    """

    def __init__(self, on_end: Callable[[Ending], None]) -> None:
        self._on_end = on_end
        self._session: aiohttp.ClientSession | None = None
        self._changed = asyncio.Event()
        self.availability = Availability()
        self.blend: Blend | None = None
        self.access: Access | None = None

    def use(self, blend: Blend, access: Access) -> None:
        """Take a new blend: a change reaches every request that comes after it."""
        self.blend, self.access = blend, access
        self._changed.set()

    def application(self) -> ASGIApp:
        """The ASGI application; its lifespan owns the connections to the components."""
        routes = [
            Route("/healthz", self._health),
            Route("/openapi.json", self._openapi),
            Route("/v1/models", self._models),
            Route("/v1/models/{model}", self._model),
            Route("/v1/chat/completions", _Endpoint(self._chat), methods=["POST"]),
            Route("/v1/completions", _Endpoint(self._complete), methods=["POST"]),
        ]
        app = Boundary(Router(routes, redirect_slashes=False, lifespan=self._lifespan))
        return Gate(app, lambda: self.access)

    @asynccontextmanager
    async def _lifespan(self, _: Any) -> AsyncIterator[None]:
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=30)
        async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:
            self._session = session
            watching = asyncio.create_task(self._watch(session))
            yield
            watching.cancel()
            await asyncio.wait({watching})

    async def _watch(self, session: aiohttp.ClientSession) -> None:
        """Check the components of the blend that is in use, whichever that is."""
        while True:
            self._changed.clear()
            upstreams = list(self.blend.upstreams.values()) if self.blend else []
            checks = asyncio.create_task(self.availability.watch(session, upstreams))
            try:
                await self._changed.wait()
            finally:
                checks.cancel()
                await asyncio.wait({checks})

    async def _health(self, _: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def _openapi(self, _: Request) -> Response:
        blend, _access = self._ready()
        config = blend.config
        limit = config.api.max_body_bytes
        return JSONResponse(openapi.document(config.name, list(blend.upstreams), limit))

    async def _models(self, _: Request) -> Response:
        blend, _access = self._ready()
        return JSONResponse({"object": "list", "data": models.entries(blend)})

    async def _model(self, request: Request) -> Response:
        blend, _access = self._ready()
        return JSONResponse(models.entry(blend, request.path_params["model"]))

    async def _chat(self, request: Request) -> RelayedResponse:
        return await self._answer(request, CHAT, requests.check_chat)

    async def _complete(self, request: Request) -> RelayedResponse:
        return await self._answer(request, COMPLETIONS, requests.check_completion)

    async def _answer(
        self, request: Request, path: str, check: Callable[[requests.Payload], None]
    ) -> RelayedResponse:
        blend, access = self._ready()
        key: Key = request.scope[KEY]
        allowance = await access.limiter.admit(key)
        payload = requests.parse(await _body(request, blend.config.api.max_body_bytes))
        check(payload)
        if path == COMPLETIONS:
            payload.pop("messages", None)  # none of its fields: nobody checked them
        return RelayedResponse(
            session=self._connections(),
            inquiry=_inquiry(blend, request, path, payload, key),
            availability=self.availability,
            headers=[(k.encode(), v.encode()) for k, v in allowance.headers.items()],
            on_end=partial(self._ended, access, key),
        )

    async def _ended(self, access: Access, key: Key, ending: Ending) -> None:
        self._on_end(ending)
        await access.limiter.spend(key, ending.tokens)

    def _connections(self) -> aiohttp.ClientSession:
        assert self._session is not None, "the lifespan of the application was not started"
        return self._session

    def _ready(self) -> tuple[Blend, Access]:
        assert self.blend is not None, "the gate is closed until there is a blend"
        assert self.access is not None, "the gate is closed until there is access"
        return self.blend, self.access


@dataclass(frozen=True)
class _Endpoint:
    """An endpoint on the path of the tokens: without what Starlette wraps around functions."""

    answer: Callable[[Request], Awaitable[RelayedResponse]]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self.answer(Request(scope, receive))
        await response(scope, receive, send)


def _inquiry(
    blend: Blend, request: Request, path: str, payload: requests.Payload, key: Key
) -> Inquiry:
    request_id = secrets.token_hex(16)
    return Inquiry(
        blend=blend,
        path=path,
        payload=payload,
        turn=turn_of(payload, request.headers, key.name),
        nonce=request.headers.get("idempotency-key") or request_id,
        request_id=request_id,
        distribution=models.distribution(blend, payload.get("model")),
    )


async def _body(request: Request, limit: int) -> bytes:
    chunks: list[Any] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise ApiError(413, f"The body exceeds {limit} bytes; send a shorter history.")
        chunks.append(chunk)
    return b"".join(chunks)
