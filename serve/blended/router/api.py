"""The OpenAI-compatible API: a plain ASGI application that knows components by HTTP only."""

import hmac
import json
import logging
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from blended.errors import ApiError
from blended.router import relay, requests, selection
from blended.router.blend import Blend, Upstream
from blended.router.response import RelayedResponse
from blended.router.turns import turn_of

logger = logging.getLogger(__name__)


class Api:
    """The routes and what they need: the blend, which may change, and the clients' key."""

    def __init__(self, client_key: str) -> None:
        self._client_key = client_key.encode()
        self._session: aiohttp.ClientSession | None = None
        self.blend: Blend | None = None

    def application(self) -> ASGIApp:
        """The ASGI application; its lifespan owns the connections to the components."""
        routes = [
            Route("/healthz", self._health),
            Route("/v1/models", self._models),
            Route("/v1/models/{model}", self._model),
            Route("/v1/chat/completions", self._chat, methods=["POST"]),
            Route("/v1/completions", self._complete, methods=["POST"]),
        ]
        handlers: dict[Any, Callable[[Request, Any], Response]] = {
            ApiError: _on_api_error,
            HTTPException: _on_http_exception,
            ClientDisconnect: _on_disconnect,
            Exception: _on_bug,
        }
        app = Starlette(routes=routes, exception_handlers=handlers, lifespan=self._lifespan)
        return _KeyCheck(app, self._client_key)

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=30)
        async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:
            self._session = session
            yield

    async def _health(self, _: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def _models(self, _: Request) -> Response:
        blend = self._ready()
        data = [_blend_entry(blend), *map(_component_entry, blend.upstreams.values())]
        return JSONResponse({"object": "list", "data": data})

    async def _model(self, request: Request) -> Response:
        blend, name = self._ready(), request.path_params["model"]
        if name == blend.config.name:
            return JSONResponse(_blend_entry(blend))
        return JSONResponse(_component_entry(_single(blend, name)))

    async def _chat(self, request: Request) -> RelayedResponse:
        return await self._answer(request, "/chat/completions", requests.check_chat)

    async def _complete(self, request: Request) -> RelayedResponse:
        return await self._answer(request, "/completions", requests.check_completion)

    async def _answer(
        self, request: Request, path: str, check: Callable[[requests.Payload], None]
    ) -> RelayedResponse:
        blend, session = self._ready(), self._session
        assert session is not None, "the lifespan of the application was not started"
        payload = requests.parse(await _body(request, blend.config.api.max_body_bytes))
        check(payload)
        turn = turn_of(payload, request.headers)
        request_id = uuid.uuid4().hex
        nonce = request.headers.get("idempotency-key") or request_id
        upstream = _choose(blend, payload.get("model"), turn.conversation, turn.number, nonce)
        body = requests.component_body(payload, upstream.model, upstream.sampling)
        question = relay.Question(
            upstream, path, turn.conversation, request_id, json.dumps(body).encode()
        )
        shown_model = None if blend.config.api.reveal_component else payload["model"]
        return RelayedResponse(session, question, shown_model)

    def _ready(self) -> Blend:
        if self.blend is None:
            raise ApiError(503, "The router has no configuration yet; try again.", retry_after_s=1)
        return self.blend


class _KeyCheck:
    """Refuses every request without the key but those for health, before anything is read."""

    def __init__(self, app: ASGIApp, key: bytes) -> None:
        self._app = app
        self._expected = b"Bearer " + key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] == "/healthz" or self._has_key(scope):
            await self._app(scope, receive, send)
            return
        error = ApiError(
            401, "No valid API key; send it as 'Authorization: Bearer KEY'.", "invalid_api_key"
        )
        await error_response(error)(scope, receive, send)

    def _has_key(self, scope: Scope) -> bool:
        given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        return hmac.compare_digest(given, self._expected)


def error_response(error: ApiError) -> Response:
    """An error in OpenAI's shape, with Retry-After where trying again may help."""
    headers = {} if error.retry_after_s is None else {"Retry-After": str(error.retry_after_s)}
    return JSONResponse(error.body(), error.status, headers)


async def _body(request: Request, limit: int) -> bytes:
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise ApiError(413, f"The body exceeds {limit} bytes; send a shorter history.")
        chunks.append(chunk)
    return b"".join(chunks)


def _choose(blend: Blend, model: Any, conversation: str, turn: int, nonce: str) -> Upstream:
    """The drawn component for the blend's own name, the named one for a component's id."""
    if not isinstance(model, str) or not model:
        raise ApiError(
            400, f"'model' is missing; give '{blend.config.name}'.", "invalid_value", "model"
        )
    if model != blend.config.name:
        return _single(blend, model)
    number = selection.uniform(blend.config.selection.seed, conversation, turn, nonce)
    return blend.upstreams[selection.draw(blend.distribution, number).component]


def _single(blend: Blend, model: str) -> Upstream:
    if model not in blend.upstreams:
        known = ", ".join([blend.config.name, *blend.upstreams])
        message = f"There is no model '{model[:80]}'; the models are {known}."
        raise ApiError(404, message, "model_not_found", "model")
    return blend.upstreams[model]


def _blend_entry(blend: Blend) -> dict[str, Any]:
    entry = _entry(blend.config.name, "blend", blend.config.description)
    distribution = blend.distribution
    shares = dict(zip(distribution.components, distribution.probabilities, strict=True))
    return entry | {"selection": shares}


def _component_entry(upstream: Upstream) -> dict[str, Any]:
    return _entry(upstream.id, upstream.kind, upstream.description)


def _entry(name: str, kind: str, description: str) -> dict[str, Any]:
    return {
        "id": name,
        "object": "model",
        "created": 0,
        "owned_by": "blended",
        "kind": kind,
        "description": description,
    }


def _on_api_error(_: Request, exc: ApiError) -> Response:
    return error_response(exc)


def _on_http_exception(request: Request, exc: HTTPException) -> Response:
    message = f"{request.method} {request.url.path}: {exc.detail}."
    return error_response(ApiError(exc.status_code, message))


def _on_disconnect(_: Request, exc: ClientDisconnect) -> Response:
    return Response(status_code=499)  # nobody is left to read it


def _on_bug(request: Request, exc: Exception) -> Response:
    logger.error("unhandled error on %s", request.url.path, exc_info=exc)
    return error_response(ApiError(500, "The router failed on this request; it was logged."))
