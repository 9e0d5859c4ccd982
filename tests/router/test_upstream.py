"""How a response ends: finished, cancelled or failed, and what the client gets."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from blended.config import BlendConfig
from tests.support import HELLO, events, eventually, remote_blend, rig, serving

Send = Callable[[dict[str, Any]], Awaitable[None]]
Behaviour = Callable[[Send], Awaitable[None]]

EVENT = b'data: {"model":"upstream-model","choices":[{"delta":{"content":"Hi"}}]}\n\n'


def slow(**simulation: Any) -> BlendConfig:
    component = {"id": "a", "kind": "simulated", "simulation": simulation}
    return BlendConfig.model_validate({"name": "blend", "components": [component]})


@asynccontextmanager
async def asked(behaviour: Behaviour, **timeouts: float) -> AsyncIterator[httpx.Response]:
    """Ask for a stream from a router whose only component is a server with this behaviour."""

    async def upstream(scope: Any, receive: Any, send: Send) -> None:
        if scope["type"] == "http":
            while (await receive()).get("more_body"):
                pass
            await behaviour(send)

    async with serving(upstream) as url, rig(remote_blend(url, **timeouts)) as r:
        yield await r.chat(stream=True)


async def start(send: Send, status: int = 200, content_type: bytes = b"text/event-stream") -> None:
    headers = [(b"content-type", content_type)]
    await send({"type": "http.response.start", "status": status, "headers": headers})


async def more(send: Send, body: bytes) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": True})


async def test_a_client_that_leaves_in_mid_stream_cancels_the_generation() -> None:
    """Closing the connection ends the component's work on the response."""
    async with rig(slow(ttft_ms=0, itl_ms=10_000, tokens=1000)) as r:
        body = {"model": "blend", "messages": HELLO, "stream": True}
        async with r.client.stream("POST", "/v1/chat/completions", json=body) as response:
            await anext(response.aiter_bytes())
            assert r.components["a"].running == 1

        await eventually(lambda: r.components["a"].cancelled == 1)
        assert r.components["a"].running == 0


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_leaves_before_the_first_byte_cancels_the_generation(
    stream: bool,
) -> None:
    """The same holds while the client waits for the first byte."""
    async with rig(slow(ttft_ms=600_000)) as r:
        waiting = asyncio.create_task(r.chat(stream=stream))
        await eventually(lambda: r.components["a"].running == 1)
        waiting.cancel()

        await eventually(lambda: r.components["a"].cancelled == 1)


async def test_a_component_that_breaks_off_ends_the_stream_with_an_error_event() -> None:
    """After the first byte the client gets an error event in the stream, in OpenAI's shape."""

    async def breaks_off(send: Send) -> None:
        await start(send)
        await more(send, EVENT)
        raise ConnectionError

    async with asked(breaks_off) as response:
        *chunks, last = events(response.content)

    assert response.status_code == 200
    assert len(chunks) == 1
    assert last["error"]["type"] == "server_error"
    assert last["error"]["code"] == "interrupted"


async def test_a_stream_that_ends_without_done_is_a_failure() -> None:
    """A cleanly closed connection does not complete the response."""

    async def stops_short(send: Send) -> None:
        await start(send)
        await send({"type": "http.response.body", "body": EVENT})

    async with asked(stops_short) as response:
        assert events(response.content)[-1]["error"]["code"] == "interrupted"


async def test_a_stream_that_falls_silent_is_ended() -> None:
    """After `idle_s` without a byte, an error event ends the stream and gives the reason."""

    async def falls_silent(send: Send) -> None:
        await start(send)
        await more(send, EVENT)
        await asyncio.sleep(60)

    async with asked(falls_silent, idle_s=0.05) as response:
        assert "0.05 s" in events(response.content)[-1]["error"]["message"]


async def test_a_stream_in_which_the_component_reports_an_error_has_failed() -> None:
    """The router's error replaces the component's, which may name it, and ends the stream."""

    async def reports(send: Send) -> None:
        await start(send)
        await more(send, EVENT)
        await more(send, b'data: {"error":{"message":"upstream-model died"}}\n\ndata: [DONE]\n\n')
        await send({"type": "http.response.body", "body": b""})

    async with asked(reports) as response:
        said, error = events(response.content)
        assert said["model"] == "blend"
        assert error["error"]["code"] == "interrupted"
        assert b"upstream-model" not in response.content


async def test_a_component_without_a_first_byte_in_time_is_unavailable() -> None:
    """Headers alone are no answer: `first_byte_s` limits the wait for the body's first byte."""

    async def headers_only(send: Send) -> None:
        await start(send)
        await more(send, b"")
        await asyncio.sleep(60)

    async with asked(headers_only, first_byte_s=0.05) as response:
        assert response.status_code == 503
        assert int(response.headers["retry-after"]) > 0
        assert response.json()["error"]["code"] == "component_unavailable"


@pytest.mark.parametrize(
    ("status", "shown"),
    [
        (500, 502),
        (501, 502),
        (502, 503),
        (404, 503),
        (503, 503),
        (401, 503),
        (403, 503),
        (302, 503),
    ],
)
async def test_a_component_that_cannot_serve_is_no_answer_for_the_client(
    status: int, shown: int
) -> None:
    """The component's own failures become the router's errors, never its own or a redirect."""

    async def refuses(send: Send) -> None:
        await start(send, status, b"text/plain")
        await send({"type": "http.response.body", "body": b"secret stack trace"})

    async with asked(refuses) as response:
        assert response.status_code == shown
        assert response.json()["error"]["type"] == "server_error"
        assert "stack trace" not in response.text


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_a_components_complaint_about_the_request_reaches_the_client(status: int) -> None:
    """Reason and status pass in OpenAI's shape, for example for a history beyond its window."""
    complaint = {
        "error": {"message": "upstream-model takes 1024", "param": "stream", "type": "Bad"}
    }

    async def complains(send: Send) -> None:
        await start(send, status, b"application/json")
        await send({"type": "http.response.body", "body": json.dumps(complaint).encode()})

    async with asked(complains) as response:
        assert response.status_code == status
        assert response.json()["error"] == {
            "message": "blend takes 1024",
            "param": "stream",
            "type": "invalid_request_error",
            "code": "invalid_value",
        }


async def test_a_field_that_the_client_has_not_sent_is_not_blamed() -> None:
    """Engines name fields of their own, such as `input_tokens`."""
    complaint = {"error": {"message": "too long", "param": "input_tokens"}}

    async def complains(send: Send) -> None:
        await start(send, 400, b"application/json")
        await send({"type": "http.response.body", "body": json.dumps(complaint).encode()})

    async with asked(complains) as response:
        assert response.json()["error"]["param"] is None


async def test_a_complaint_in_no_known_shape_is_passed_as_text() -> None:
    """The client gets any 4xx of a remote component in OpenAI's shape."""

    async def complains(send: Send) -> None:
        await start(send, 422, b"text/plain")
        await send({"type": "http.response.body", "body": b"no, thanks"})

    async with asked(complains) as response:
        assert response.json()["error"]["message"] == "no, thanks"


async def test_a_component_that_is_not_there_is_unavailable() -> None:
    """A refused connection gives 503 in OpenAI's shape."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
    async with rig(remote_blend(url)) as r:
        response = await r.chat()

        assert response.status_code == 503
        assert response.json()["error"]["code"] == "component_unavailable"


async def test_an_empty_stream_is_no_answer() -> None:
    """A component that closes without a byte gave no answer."""

    async def says_nothing(send: Send) -> None:
        await start(send)
        await send({"type": "http.response.body", "body": b""})

    async with asked(says_nothing) as response:
        assert response.status_code == 502


@pytest.mark.parametrize(("code", "shown"), [(400, 400), (500, 502), (None, 502), (503, 503)])
async def test_an_error_at_the_start_of_a_stream_is_judged_like_a_status(
    code: int | None, shown: int
) -> None:
    """vLLM sends 200 before it knows whether it can answer; the client does not get that 200."""

    async def fails_late(send: Send) -> None:
        await start(send)
        event = json.dumps({"error": {"message": "no", "code": code}}).encode()
        await more(send, b"data: " + event + b"\n\n")

    async with asked(fails_late) as response:
        assert response.status_code == shown


async def test_bytes_are_passed_on_as_they_come() -> None:
    """The first event reaches the client while the component still generates the next."""
    async with rig(slow(ttft_ms=0, itl_ms=600_000, tokens=1000, jitter=0)) as r:
        body = {"model": "blend", "messages": HELLO, "stream": True}
        async with r.client.stream("POST", "/v1/chat/completions", json=body) as response:
            async with asyncio.timeout(10):
                first = await anext(response.aiter_bytes())

            assert b"simulated" in first
            assert r.components["a"].running == 1
