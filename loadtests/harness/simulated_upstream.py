"""The simulated upstream of all targets: one process with the necessary part of OpenAI's API.

`python -m loadtests.harness.simulated_upstream PORT PORT PORT` serves one model per port. The last
message chooses the response: "paced" is a stream of 64 tokens, one every 10 ms, "burst" the same 64
at once, any other text a short answer. GET /counts tells how many chats each port has answered.
"""

import asyncio
import json
import sys
from collections import Counter
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import httptools
import uvloop

TOKENS = 64
INTERVAL_S = 0.01
TOKEN = "~token"


def chunked(payload: bytes) -> bytes:
    """One chunk of an HTTP/1.1 body."""
    return b"%x\r\n%b\r\n" % (len(payload), payload)


def frame(finish_reason: str | None = None) -> bytes:
    """The SSE event of one token, about 170 bytes as engines write them."""
    choice = {"index": 0, "delta": {"content": TOKEN}, "finish_reason": finish_reason}
    document = {
        "id": "chatcmpl-bench",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [choice],
    }
    return f"data: {json.dumps(document, separators=(',', ':'))}\n\n".encode()


def answer() -> bytes:
    """The body of an answer that is no stream."""
    message = {"role": "assistant", "content": TOKEN}
    document = {
        "id": "chatcmpl-bench",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 8, "completion_tokens": 1, "total_tokens": 9},
    }
    return json.dumps(document).encode()


def whole(body: bytes) -> bytes:
    """A response of one piece."""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    return head % len(body) + body


STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
)
FRAME = chunked(frame())
END = chunked(frame("stop")) + chunked(b"data: [DONE]\n\n") + b"0\r\n\r\n"
BURST = STREAM_HEAD + FRAME * (TOKENS - 1) + END
ANSWER = whole(answer())


class Upstream(asyncio.Protocol):
    """One connection to the model that listens on `port`."""

    def __init__(self, port: int, counts: Counter[int]) -> None:
        self._port = port
        self._counts = counts
        self._parser = httptools.HttpRequestParser(self)
        self._body = self._url = b""
        self._next: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Part of asyncio.Protocol."""
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """A disconnecting client ends its stream."""
        if self._next is not None:
            self._next.cancel()

    def data_received(self, data: bytes) -> None:
        """Part of asyncio.Protocol."""
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        """Part of httptools' protocol."""
        self._url, self._body = url, b""

    def on_body(self, body: bytes) -> None:
        """Part of httptools' protocol."""
        self._body += body

    def on_message_complete(self) -> None:
        """Answer the request that has just arrived."""
        if self._parser.get_method() != b"POST":
            self._transport.write(whole(self._about()))
            return
        self._counts[self._port] += 1
        if b"paced" in self._body:
            self._transport.write(STREAM_HEAD + FRAME)
            self._pace(asyncio.get_running_loop().time(), 1)
        else:
            self._transport.write(BURST if b"burst" in self._body else ANSWER)

    def _about(self) -> bytes:
        if self._url == b"/counts":
            return json.dumps(self._counts).encode()
        return b'{"object":"list","data":[{"id":"m","object":"model","owned_by":"bench"}]}'

    def _pace(self, start: float, sent: int) -> None:
        # Absolute times: a late token does not delay those after it.
        at = start + sent * INTERVAL_S
        self._next = asyncio.get_running_loop().call_at(at, self._send, start, sent)

    def _send(self, start: float, sent: int) -> None:
        if sent == TOKENS - 1:
            self._transport.write(END)
            return
        self._transport.write(FRAME)
        self._pace(start, sent + 1)


async def serve(ports: list[int]) -> None:
    """Listen on every port until cancelled."""
    loop, counts = asyncio.get_running_loop(), Counter(dict.fromkeys(ports, 0))
    async with AsyncExitStack() as servers:
        for port in ports:
            listening = loop.create_server(partial(Upstream, port, counts), "127.0.0.1", port)
            await servers.enter_async_context(await listening)
        await asyncio.Event().wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve([int(port) for port in sys.argv[1:]]))
