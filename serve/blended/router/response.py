"""The ASGI response that relays a component's answer to the client, and ends in one way."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import aiohttp
from starlette.types import Receive, Scope, Send

from blended import sse
from blended.disconnect import finishes_before_disconnect
from blended.errors import ApiError
from blended.router import cache_salt, complaints, upstream
from blended.router.attempts import Attempts, answered
from blended.router.availability import Availability
from blended.router.client_apis.client_api import Translation
from blended.router.client_apis.wire import Untranslatable
from blended.router.errors import RESPONSE_ID_HEADER
from blended.router.inquiry import Inquiry
from blended.router.keep_alive import KeepAlive
from blended.router.rewriting import Passage

logger = logging.getLogger(__name__)

State = Literal["finished", "cancelled", "refused", "failed"]
Headers = list[tuple[bytes, bytes]]

# The second header asks proxies in front not to buffer a stream.
_STREAM_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]
_JSON = (b"content-type", b"application/json")
BEST_OF = b"x-blended-best-of"


@dataclass(frozen=True)
class Ending:
    """How a response ended, with the data known at its end."""

    state: State
    inquiry: Inquiry
    attempts: Attempts
    passage: Passage


@dataclass(frozen=True)
class RelayedResponse:
    """An ASGI response that finds an answer when the server runs it, and relays it.

    Every request ends in exactly one way: finished; failed, with an HTTP error or, after the first
    byte, an SSE error event; refused by the component, with its message; or cancelled, because the
    client left. A stream that begins late is kept alive: then every error is an event. `on_end` is
    called with the ending. `headers` are sent with the answer; `keep`
    keeps the answer's bytes for `on_end`. `translation` is there for a client of another API than
    the component's: it gets its words, while the kept bytes stay the component's.
    """

    session: aiohttp.ClientSession
    inquiry: Inquiry
    availability: Availability
    attempts: Attempts
    headers: Headers
    keep: bool
    on_end: Callable[[Ending], Awaitable[None]]
    translation: Translation | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        passage = Passage(
            self._shown_model(), self._client_wants_usage(), self.inquiry.response_id, self.keep
        )
        waiting = self._keep_alive(send)
        state: State = "failed"
        try:
            finished = await finishes_before_disconnect(self._relay(passage, waiting), receive)
            if not finished:
                state = "cancelled"
            elif passage.complete:
                state = "finished"
        except asyncio.CancelledError:
            state = "cancelled"  # Ray Serve itself cancels a request whose client has left
            raise
        except ApiError as error:
            if isinstance(error, upstream.Complaint):
                state = "refused"
            error.headers = {**error.headers, RESPONSE_ID_HEADER: self.inquiry.response_id}
            if not waiting.has_started:
                raise
            await send({"type": "http.response.body", "body": self._told(error)})
        finally:
            self.attempts.timing.end()
            await self.on_end(Ending(state, self.inquiry, self.attempts, passage))

    def _keep_alive(self, send: Send) -> KeepAlive:
        is_stream = bool(self.inquiry.payload.get("stream"))
        period_s = self.inquiry.blend.config.api.keep_alive_s if is_stream else None
        return KeepAlive(period_s, partial(self._start, send, None, _STREAM_HEADERS), send)

    async def _relay(self, passage: Passage, waiting: KeepAlive) -> None:
        try:
            waiting.begin()
            async with answered(
                self.session, self.inquiry, self.availability, self.attempts
            ) as answer:
                await waiting.end()
                await self._pass_on(answer, passage, waiting)
        except upstream.Complaint as complaint:
            raise self._concealed(complaint) from complaint
        finally:
            await waiting.end()

    async def _pass_on(self, answer: upstream.Answer, passage: Passage, waiting: KeepAlive) -> None:
        send = waiting.send
        if answer.stream is not None:
            if not waiting.has_started:
                await self._start(send, answer, _STREAM_HEADERS)
            await self._stream(answer.stream, passage, send)
            return
        self.attempts.timing.come()
        self.attempts.timing.piece()
        assert answer.whole is not None, "an answer is a stream or whole"
        body = self._whole(passage.whole(*answer.whole))
        await self._start(send, answer, [_JSON, (b"content-length", b"%d" % len(body))])
        await send({"type": "http.response.body", "body": body})

    async def _stream(self, chunks: AsyncIterator[bytes], passage: Passage, send: Send) -> None:
        timing, seen = self.attempts.timing, self._shown()
        try:
            async for chunk in chunks:
                timing.come()
                before = passage.events
                events = seen(passage.feed(chunk))
                if passage.events > before:
                    timing.piece()
                if events:
                    await send({"type": "http.response.body", "body": events, "more_body": True})
                if passage.failed:
                    raise upstream.Interrupted(
                        "The component failed in the middle of its response."
                    )
            end = seen(passage.flush())
            if not passage.complete:
                message = "The component ended its response without completing it."
                raise upstream.Interrupted(message)
        except Untranslatable as exc:
            passage.complete = False  # the client did not get all of it
            end = self._interrupted(exc)
        except upstream.Interrupted as exc:
            end = self._interrupted(exc)
        await send({"type": "http.response.body", "body": end})

    def _whole(self, document: bytes) -> bytes:
        """An answer in one document, as the client gets it."""
        seen = self._seen()(document)
        if self.translation is None:
            return seen
        try:
            return self.translation.whole(seen)
        except Untranslatable as exc:
            raise ApiError(502, f"{exc} Try again.", "component_unavailable") from exc

    def _shown(self) -> Callable[[bytes], bytes]:
        """What makes events fit for the client, in the words of the client's API."""
        seen, translation = self._seen(), self.translation
        if translation is None:
            return seen
        return lambda events: translation.feed(seen(events))

    def _seen(self) -> Callable[[bytes], bytes]:
        """What makes a document fit for the client: no counts of a cache that others can fill."""
        assert self.attempts.choice is not None, "only an answer has a cache"
        answering = self.inquiry.blend.upstreams[self.attempts.choice.component]
        api = self.inquiry.blend.config.api
        is_own = cache_salt.is_own(answering, api, self.inquiry.key_name)
        return bytes if is_own else cache_salt.without_cached

    def _interrupted(self, exc: upstream.Interrupted | Untranslatable) -> bytes:
        assert self.attempts.choice is not None, "only an answer can be interrupted"
        component = self.attempts.choice.component
        self.availability.failed(self.inquiry.blend.upstreams[component])
        logger.warning("response failed after its first byte: %s", exc, extra=self._ids())
        return self._told(ApiError(500, str(exc), "interrupted"))

    def _told(self, error: ApiError) -> bytes:
        """The event that ends a stream which has failed, in the words of the client's API."""
        if self.translation is not None:
            return self.translation.failed(error)
        return sse.error_event(error)

    def _ids(self) -> dict[str, str | None]:
        """The ids in every log line about a response."""
        inquiry = self.inquiry
        ids = {"response_id": inquiry.response_id, "request_id": inquiry.request_id}
        return {**ids, "trace_id": self.attempts.trace.id}

    async def _start(self, send: Send, answer: upstream.Answer | None, more: Headers) -> None:
        """Send status and headers; without an answer nothing is known of its component."""
        headers = [
            (RESPONSE_ID_HEADER.encode(), self.inquiry.response_id.encode()),
            *more,
            *self.headers,
        ]
        choice = self.attempts.choice
        if answer is not None:
            headers.append((b"x-blended-attempts", b"%d" % len(self.attempts)))
            headers += self._best_of()
        if answer is not None and self._shown_model() is None and choice is not None:
            headers.append((b"x-blended-component", choice.component.encode()))
            headers.append((b"x-blended-intended", self.inquiry.first_draw.component.encode()))
            headers.append((b"x-blended-propensity", b"%.6g" % choice.propensity))
            if answer.replica is not None:
                headers.append((b"x-blended-replica", answer.replica.encode("latin-1")))
        await send({"type": "http.response.start", "status": 200, "headers": headers})

    def _best_of(self) -> Headers:
        """How many candidates there were, and what chose; or why there was one alone."""
        search, judged = self.attempts.search, self.attempts.judged
        if judged is not None:
            return [(BEST_OF, f"{judged.k}; chosen_by={judged.chosen_by}".encode())]
        if search is not None and search.alone is not None:
            return [(BEST_OF, f"1; reason={search.alone}".encode())]
        return []

    def _shown_model(self) -> str | None:
        reveal = self.inquiry.blend.config.api.reveal_component
        return None if reveal else self.inquiry.payload["model"]

    def _client_wants_usage(self) -> bool:
        return bool((self.inquiry.payload.get("stream_options") or {}).get("include_usage"))

    def _concealed(self, complaint: upstream.Complaint) -> upstream.Complaint:
        """The complaint as the client may see it; the log keeps a member's text on its account."""
        blend, model = self.inquiry.blend, self.inquiry.payload["model"]
        keys = [u.key for u in blend.upstreams.values() if u.key]
        message = complaints.without_secrets(complaint.message, keys)
        param = complaint.param if self._is_clients_own(complaint.param) else None
        if complaints.is_about_account(message) and self._is_asked_of_a_member():
            logger.warning("a member speaks of its account: %s", message[:500], extra=self._ids())
            message, param = complaints.own_sentence(model), None
        elif (shown := self._shown_model()) is not None:
            names = "|".join(re.escape(u.model) for u in blend.upstreams.values())
            message = re.sub(rf"(?<![\w-])({names})(?![\w-])", lambda _: shown, message)
        return upstream.Complaint(complaint.status, message, complaint.code, param)

    def _is_clients_own(self, param: str | None) -> bool:
        """Whether a component blames a field of the request, and not one of its own."""
        return param is not None and re.split(r"[.\[]", param)[0] in self.inquiry.payload

    def _is_asked_of_a_member(self) -> bool:
        """Whether the component that was asked last is a remote API."""
        asked = self.attempts.asked
        return asked is not None and not self.inquiry.blend.upstreams[asked].is_ours
