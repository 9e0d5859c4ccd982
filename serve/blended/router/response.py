"""The ASGI response that carries a component's answer to the client and ends it in one way."""

import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
from starlette.types import Receive, Scope, Send

from blended.disconnect import finishes_before_disconnect
from blended.errors import ApiError
from blended.router import relay

logger = logging.getLogger(__name__)

# The second asks proxies in front not to collect a stream before they pass it on.
_STREAM_HEADERS = [(b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]


@dataclass(frozen=True)
class RelayedResponse:
    """An ASGI response that asks a component when the server runs it, and passes the answer on.

    Every request ends in exactly one way: finished; failed, of which the client hears by an HTTP
    error or, after the first byte, by an SSE error event; or cancelled, because the client left.
    `shown_model` is the model to name in the answer instead of the component, None to leave it.
    """

    session: aiohttp.ClientSession
    question: relay.Question
    shown_model: str | None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not await finishes_before_disconnect(self._relay(send), receive):
            logger.info("%s cancelled by the client", self.question.request_id)

    async def _relay(self, send: Send) -> None:
        try:
            async with relay.ask(self.session, self.question) as answer:
                await self._pass_on(answer, send)
        except ApiError as error:
            raise self._concealed(error) from error

    async def _pass_on(self, answer: relay.Answer, send: Send) -> None:
        if answer.stream is not None:
            await self._start(send, answer.content_type, _STREAM_HEADERS)
            await self._stream(answer.stream, send)
            return
        body = answer.whole or b""
        if self.shown_model is not None:
            body = relay.conceal(body, self.shown_model)
        await self._start(send, answer.content_type, [(b"content-length", b"%d" % len(body))])
        await send({"type": "http.response.body", "body": body})

    async def _stream(self, chunks: AsyncIterator[bytes], send: Send) -> None:
        concealer = None if self.shown_model is None else relay.Concealer(self.shown_model)
        end = b""
        try:
            async for chunk in chunks:
                events = chunk if concealer is None else concealer.feed(chunk)
                if events:
                    await send({"type": "http.response.body", "body": events, "more_body": True})
            end = b"" if concealer is None else concealer.flush()
        except relay.Interrupted as exc:
            logger.warning("%s failed after its first byte: %s", self.question.request_id, exc)
            end = relay.error_event(str(exc))
        await send({"type": "http.response.body", "body": end})

    async def _start(self, send: Send, content_type: str, more: list[tuple[bytes, bytes]]) -> None:
        headers = [(b"content-type", content_type.encode("latin-1")), *more]
        if self.shown_model is None:
            headers.append((b"x-blended-component", self.question.upstream.id.encode()))
        await send({"type": "http.response.start", "status": 200, "headers": headers})

    def _concealed(self, error: ApiError) -> ApiError:
        if self.shown_model is None:
            return error
        message = error.message.replace(self.question.upstream.model, self.shown_model)
        return ApiError(error.status, message, error.code, error.param, error.retry_after_s)
