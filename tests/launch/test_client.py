"""The terminal's client of the API, against a router and against a stream that breaks off."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from functools import partial

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from blended import sse
from blended.errors import LaunchError
from blended.launch.client import Client, Reply
from tests.support import CLIENT_KEY, HELLO, blend, rig, serving

CHAT = "/v1/chat/completions"


def ask(url: str, on_text: Callable[[str], None], key: str = CLIENT_KEY) -> Reply:
    """One streamed response of `blend`."""
    with closing(Client(url, key)) as client:
        return client.stream("blend", HELLO, on_text)


async def test_a_response_comes_in_pieces_and_as_a_whole() -> None:
    """Its tokens are those that the component reports, its text that of the pieces."""
    pieces = list[str]()
    async with rig(blend("a")) as r:
        reply = await asyncio.to_thread(ask, r.url, pieces.append)

    assert set(pieces) == {" simulated"}
    assert reply.text == "".join(pieces).strip()
    assert (reply.component, reply.tokens) == (None, len(pieces))
    assert reply.ttft_ms > 0


async def test_a_stream_that_breaks_off_is_an_error() -> None:
    """What came before it has been shown; the error's own words are said."""

    async def breaks_off(_: Request) -> Response:
        async def chunks() -> AsyncIterator[bytes]:
            yield b": alive\n\n" + sse.encode({"choices": [{"delta": {"content": "Hi"}}]})
            yield sse.encode({"error": {"message": "It fell over."}})

        return StreamingResponse(chunks(), media_type="text/event-stream")

    pieces = list[str]()
    async with serving(Starlette(routes=[Route(CHAT, breaks_off, methods=["POST"])])) as url:
        with pytest.raises(LaunchError, match=r"broke off: It fell over\."):
            await asyncio.to_thread(ask, url, pieces.append)
    assert pieces == ["Hi"]


async def test_an_answer_that_is_an_error_is_said_with_its_status() -> None:
    """A wrong key, for one."""
    async with rig(blend("a")) as r:
        with pytest.raises(LaunchError, match="answered 401"):
            await asyncio.to_thread(partial(ask, r.url, key="wrong"), print)
