"""The OpenAI-compatible API: a plain ASGI application that reaches components only by HTTP."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import aiohttp
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

import blended
from blended.journal.journal import Journal
from blended.journal.records import ExperimentRecord, ResponseRecord
from blended.router import (
    cost,
    models,
    openapi,
    operations,
    policies,
    recall,
    token_count,
)
from blended.router.access.gate import ALLOWANCE, KEY, Access, Gate
from blended.router.access.keys import Key
from blended.router.access.rate_limits import Charge
from blended.router.arrivals import Arrivals
from blended.router.attempts import Attempts
from blended.router.availability import Availability
from blended.router.blend import Blend, definitions
from blended.router.body import aside, read
from blended.router.endpoints import OPEN, nowhere
from blended.router.errors import Boundary, OnRefusal
from blended.router.inquiry import Inquiry
from blended.router.intake import inquiry_of
from blended.router.journal_routes import JournalRoutes
from blended.router.look_ahead import LookAhead, looks_ahead
from blended.router.operations import Asked, Operation
from blended.router.policies import OnPolicy
from blended.router.readers import Count
from blended.router.response import Ending, RelayedResponse
from blended.router.response_record import response_record
from blended.router.timing import Timing
from blended.tracing import ResponseTrace

OnEnd = Callable[[ResponseRecord, str | None], None]


class Api:
    """The routes, with the blend and the access to it; both may change.

    `on_end` is called for every response, and for every request that no component answered, with
    the trace's id if any; `on_refusal` for every other error, with HTTP status and error code;
    `on_look_ahead` for what look-ahead does, `on_policy` for each draw that a policy was asked for.
    """

    def __init__(
        self,
        on_end: OnEnd,
        on_refusal: OnRefusal = lambda *_: None,
        on_look_ahead: Count = lambda *_: None,
        on_policy: OnPolicy = lambda *_: None,
    ) -> None:
        self._on_end, self._on_refusal, self._on_policy = on_end, on_refusal, on_policy
        self._session: aiohttp.ClientSession | None = None
        self._changed = asyncio.Event()
        self.availability = Availability()
        self.arrivals = Arrivals()
        self.look_ahead = LookAhead(self.availability, on_look_ahead)
        self.blend: Blend | None = None
        self.access: Access | None = None
        self.journal: Journal | None = None

    def use(self, blend: Blend, access: Access, journal: Journal | None) -> None:
        """Take a new blend: a change reaches every request that comes after it."""
        self.blend, self.access, self.journal = blend, access, journal
        self.arrivals.use(blend)
        if journal is not None:
            for d in definitions(blend.config):
                journal.append(ExperimentRecord(d.name, d.version, time.time(), d.to_json()))
        self._changed.set()

    def application(self) -> ASGIApp:
        """The ASGI application; its lifespan owns the connections, and ends after the journal's."""
        found, lifespan = self.routes(), self._lifespan
        router = Router(found, redirect_slashes=False, default=nowhere, lifespan=lifespan)
        app = Boundary(router, self._on_refusal)
        return Gate(app, lambda: self.access, self._on_refusal)

    def routes(self) -> list[Route]:
        """One for each endpoint of the table in `endpoints`, and one for a slash behind models.

        They are tried in this order, so that those of most requests come first.
        """
        kept = JournalRoutes(self._ready, lambda: self.journal)
        return [
            self._generating("/v1/chat/completions", operations.CHATS),
            self._generating("/v1/responses", operations.RESPONSES),
            self._generating("/v1/messages", operations.MESSAGES),
            self._generating("/v1/completions", operations.TEXTS),
            Route("/v1/messages/count_tokens", self._count_tokens, methods=["POST"]),
            *(Route(path, self._health) for path in sorted(OPEN)),
            Route("/version", self._version),
            Route("/openapi.json", self._openapi),
            Route("/v1/models", self._models),
            Route("/v1/models/", self._models),
            Route("/v1/models/{model}", self._model),
            Route("/v1/feedback", kept.feedback, methods=["POST"]),
            Route("/v1/records/{response}", kept.record),
        ]

    @asynccontextmanager
    async def _lifespan(self, _: Any) -> AsyncIterator[None]:
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=30)
        async with aiohttp.ClientSession(connector=connector) as session:
            self._session = session
            watching = asyncio.create_task(self._watch(session))
            yield
            watching.cancel()
            await asyncio.wait({watching})
            await self.look_ahead.close()
        if self.access is not None:
            await self.access.store.close()
        if self.journal is not None:
            await asyncio.to_thread(self.journal.close)

    async def _watch(self, session: aiohttp.ClientSession) -> None:
        """Check the components of the current blend, also after the blend changes."""
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

    async def _version(self, _: Request) -> Response:
        return JSONResponse({"version": blended.__version__})

    async def _openapi(self, _: Request) -> Response:
        blend, _access = self._ready()
        return JSONResponse(openapi.document(blend.config, list(blend.upstreams)))

    async def _models(self, _: Request) -> Response:
        blend, _access = self._ready()
        return JSONResponse({"object": "list", "data": models.entries(blend)})

    async def _model(self, request: Request) -> Response:
        blend, _access = self._ready()
        return JSONResponse(models.entry(blend, request.path_params["model"]))

    def _generating(self, path: str, operation: Operation) -> Route:
        return Route(path, _Endpoint(partial(self._answer, operation)), methods=["POST"])

    async def _count_tokens(self, request: Request) -> Response:
        blend, _access = self._ready()
        asked = await _asked(blend, request, operations.MESSAGES)
        inquiry = self._inquiry(blend, request, operations.MESSAGES, asked, time.time())
        tokens = await token_count.counted(self._connections(), inquiry)
        return JSONResponse({"input_tokens": tokens})

    async def _answer(self, operation: Operation, request: Request) -> RelayedResponse:
        timing = Timing()
        blend, access = self._ready()
        key: Key = request.scope[KEY]
        asked = await _asked(blend, request, operation)
        inquiry = self._inquiry(blend, request, operation, asked, timing.started_at)
        payload = inquiry.payload
        is_limited = key.tokens_per_minute is not None
        charge = await access.limiter.charge(key, cost.at_most(inquiry) if is_limited else 0)
        try:
            inquiry = await self.look_ahead.taken(access.store, inquiry, request.headers)
            if recall.recalls(inquiry):
                inquiry = await self._decided(access, inquiry, request.headers)
        except asyncio.CancelledError:  # Ray Serve cancels a request whose client has left
            await access.limiter.settle(charge, 0)
            raise
        by_policy = inquiry.distribution if inquiry.policy else None
        self.arrivals.count(payload["model"], inquiry.assignment, inquiry.needs, by_policy)
        trace = ResponseTrace.begin(request.headers, operation.name, payload["model"])
        limits = {**request.scope[ALLOWANCE].headers, **charge.headers}
        return RelayedResponse(
            session=self._connections(),
            inquiry=inquiry,
            availability=self.availability,
            attempts=Attempts(timing, trace, self.arrivals),
            headers=[(k.encode(), v.encode()) for k, v in limits.items()],
            keep=self._keeps_content() or looks_ahead(inquiry),
            on_end=partial(self._ended, access, charge),
            translation=operation.translation(asked, inquiry.response_id, timing.started_at),
        )

    async def _decided(
        self, access: Access, inquiry: Inquiry, headers: Mapping[str, str]
    ) -> Inquiry:
        """An inquiry with what is known of it, and the distribution by its policy if it has one."""
        spoken = await aside(inquiry.size_bytes, lambda: recall.words_of(inquiry))
        known = await recall.facts(access.store, inquiry, spoken, "idempotency-key" in headers)
        return policies.decided(inquiry, known, spoken, self._on_policy)

    def _inquiry(
        self,
        blend: Blend,
        request: Request,
        operation: Operation,
        asked: Asked,
        started_at: float,
    ) -> Inquiry:
        identity = self.journal.identity if self.journal else None
        key: Key = request.scope[KEY]
        return inquiry_of(blend, operation, asked, key.name, request.headers, identity, started_at)

    async def _ended(self, access: Access, charge: Charge, ending: Ending) -> None:
        journal = self.journal
        described = partial(response_record, ending, journal is not None, self._keeps_content())
        try:
            record = await aside(ending.inquiry.size_bytes, described)
            if journal is not None:
                journal.append(record)
            ending.attempts.trace.end(record)
            self._on_end(record, ending.attempts.trace.id)
            self.look_ahead.used(ending)
            if ending.inquiry.blend is self.blend:  # a new blend may have another store, or none
                await recall.remember(access.store, ending)
                self.look_ahead.begin(self._connections(), access.store, ending)
        finally:
            await access.limiter.settle(charge, cost.spent(ending))

    def _keeps_content(self) -> bool:
        return self.journal is not None and self.journal.keep_content

    def _connections(self) -> aiohttp.ClientSession:
        assert self._session is not None, "the lifespan of the application was not started"
        return self._session

    def _ready(self) -> tuple[Blend, Access]:
        assert self.blend is not None, "the gate is closed until there is a blend"
        assert self.access is not None, "the gate is closed until there is access"
        return self.blend, self.access


async def _asked(blend: Blend, request: Request, operation: Operation) -> Asked:
    """A request's body, read and checked."""
    limits = blend.config.api
    body = await read(request, limits.max_body_bytes)
    return await aside(len(body), partial(operations.understood, body, operation, request, limits))


@dataclass(frozen=True)
class _Endpoint:
    """An endpoint that answers with tokens, without Starlette's wrapper for functions."""

    answer: Callable[[Request], Awaitable[RelayedResponse]]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self.answer(Request(scope, receive))
        await response(scope, receive, send)
