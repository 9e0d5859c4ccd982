"""One request and its response, timed as the bytes arrive."""

import asyncio
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import httptools


@dataclass
class Exchange:
    """One request and the times of its response's tokens, in seconds."""

    token: bytes
    ended: "asyncio.Future[None]"
    sent_s: float
    tokens_s: list[float] = field(default_factory=list)
    last_s: float = 0.0
    status: int = 0
    _tail: bytes = b""
    _end: bytes = b""

    def feed(self, body: bytes, now_s: float) -> None:
        """Count the tokens of a piece of the body; a token may be cut between two pieces."""
        # Nothing is parsed: what measures a router must cost less than the router does.
        window = self._tail + body
        self.tokens_s += [now_s] * window.count(self.token)
        self._tail = window[1 - len(self.token) :]
        self._end = (self._end + body)[-200:]

    def failure(self, min_tokens: int) -> str:
        """The fault of the response; empty if there is none."""
        if self.status != 200:
            return f"HTTP {self.status}: {self._end.decode(errors='replace')}"
        if min_tokens and b"[DONE]" not in self._end:
            return f"stream without [DONE]: {self._end.decode(errors='replace')}"
        if len(self.tokens_s) < min_tokens:
            return f"{len(self.tokens_s)} tokens instead of {min_tokens}"
        return ""


class Connection(asyncio.Protocol):
    """A connection kept alive: one exchange after the other."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._exchange: Exchange | None = None
        self._now_s = 0.0
        self.open = True

    def connection_made(self, transport: Any) -> None:
        """Part of asyncio.Protocol."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Everything that arrives at once has one time."""
        self._now_s = perf_counter()
        self._parser.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """A running response has failed."""
        self.open = False
        if self._exchange is not None and not self._exchange.ended.done():
            self._exchange.ended.set_exception(ConnectionError("connection closed"))

    def on_body(self, body: bytes) -> None:
        """Part of httptools' protocol."""
        assert self._exchange is not None, "a body before any request"
        self._exchange.feed(body, self._now_s)

    def on_message_complete(self) -> None:
        """The response has ended."""
        assert self._exchange is not None, "a response before any request"
        self._exchange.last_s = self._now_s
        self._exchange.status = self._parser.get_status_code()
        self.open = self._parser.should_keep_alive()
        if not self._exchange.ended.done():
            self._exchange.ended.set_result(None)

    async def ask(self, request: bytes, token: bytes) -> Exchange:
        """Send a request and wait for the end of its response."""
        ended = asyncio.get_running_loop().create_future()
        self._exchange = exchange = Exchange(token, ended, perf_counter())
        self._transport.write(request)
        await ended
        return exchange

    def close(self) -> None:
        """Close the connection, also during a response."""
        self.open = False
        self._transport.abort()
