"""The router's record of every response, however the response ends."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from blended.journal.records import ResponseRecord
from blended.router.selection import normalise, uniform
from blended.router.texts import texts
from tests.journal.journals import journal
from tests.support import (
    CLIENT_KEY,
    HELLO,
    Rig,
    blend,
    events,
    eventually,
    remote_blend,
    rig,
    serving,
)

WEIGHTED = {"selection": {"weights": {"a": 1, "b": 3}, "seed": "s"}}


async def _call(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    await app(scope, receive, send)


async def only_record(r: Rig) -> ResponseRecord:
    """The only record, once it exists: a response ends after its last byte."""
    await eventually(lambda: len(r.records) == 1)
    return r.records[0]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_finished_response_is_accounted_for(stream: bool) -> None:
    """The record has the draw and its distribution, tokens, times and the client's id."""
    async with rig(blend("a", "b", **WEIGHTED)) as r:
        response = await r.chat(stream=stream, headers={"Idempotency-Key": "n"})
        record = await only_record(r)

        assert record.response_id == response.headers["x-blended-response-id"]
        assert record.state == "finished"
        assert record.probabilities == {"a": 0.25, "b": 0.75}
        assert record.distribution == normalise({"a": 1, "b": 3}).version
        assert record.uniform == uniform("s", record.conversation, 1, "n")
        assert record.drawn == record.component == ("a" if record.uniform < 0.25 else "b")
        assert record.propensity == record.probabilities[record.drawn]
        assert record.left == ["a", "b"]
        assert (record.model, record.stream, record.failures) == ("blend", stream, [])
        assert record.prompt_tokens
        assert record.completion_tokens
        assert record.finish_reason == "stop"
        assert record.ttft_s is not None
        assert 0 < record.ttft_s <= record.e2e_s
        assert 0 < record.router_s <= record.e2e_s
        assert record.content is None


@pytest.mark.parametrize("stream", [False, True])
async def test_the_response_has_the_recorded_id(stream: bool) -> None:
    """The body has the id of the header, in every event of a stream."""
    async with rig(blend("a")) as r:
        response = await r.chat(stream=stream)
        documents = events(response.content)[:-1] if stream else [response.json()]

        assert {d["id"] for d in documents} == {response.headers["x-blended-response-id"]}


async def elsewhere(request: Request) -> Response:
    """A remote API with its own ids and a tool call."""
    call = {"index": 0, "id": "call-1", "function": {"name": "f", "arguments": "{}"}}
    if not (await request.json()).get("stream"):
        message = {"role": "assistant", "content": None, "tool_calls": [call]}
        choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
        return JSONResponse({"id": "resp-77", "model": "upstream-model", "choices": [choice]})
    choices = [{"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": None}]
    event = {"id": "resp-77", "model": "upstream-model", "choices": choices}
    frames = [f"data: {json.dumps(event)}\n\n", "data: [DONE]\n\n"]
    return StreamingResponse(iter(frames), media_type="text/event-stream")


@pytest.mark.parametrize("stream", [False, True])
async def test_somebody_elses_id_is_replaced(stream: bool) -> None:
    """A remote component's response has the recorded id too; ids inside it stay."""
    app = Starlette(routes=[Route("/v1/chat/completions", elsewhere, methods=["POST"])])
    async with serving(app) as url, rig(remote_blend(f"{url}/v1")) as r:
        response = await r.chat(stream=stream)

        [document, *_] = events(response.content) if stream else [response.json()]
        choice = document["choices"][0]
        assert document["id"] == response.headers["x-blended-response-id"]
        assert (choice.get("delta") or choice["message"])["tool_calls"][0]["id"] == "call-1"


async def test_a_client_that_leaves_is_recorded_as_such() -> None:
    """Its state is `cancelled`, with at least the tokens that had passed."""
    slow = {"ttft_ms": 0, "itl_ms": 20, "tokens": 100_000, "jitter": 0}
    config = blend("a").model_dump(mode="json")
    config["components"][0]["simulation"] |= slow
    async with rig(type(blend("a")).model_validate(config)) as r:
        body = {"model": "blend", "messages": HELLO, "stream": True, "max_tokens": 2000}
        async with r.client.stream("POST", "/v1/chat/completions", json=body) as response:
            async for _ in response.aiter_bytes():
                break
        record = await only_record(r)

        assert record.state == "cancelled"
        assert record.completion_tokens
        assert record.ttft_s is not None


async def test_a_request_that_the_server_cancels_is_recorded_likewise() -> None:
    """Ray Serve cancels the request's task: no client is left to get an error."""
    config = blend("a").model_dump(mode="json")
    config["components"][0]["simulation"] |= {"itl_ms": 50, "tokens": 100_000, "jitter": 0}
    async with rig(type(blend("a")).model_validate(config)) as r:
        body = {"model": "blend", "messages": HELLO, "stream": True, "max_tokens": 2000}
        begun = asyncio.Event()

        async def send(message: Any) -> None:
            if message["type"] == "http.response.body":
                begun.set()

        receive = asyncio.Queue[Any]()
        receive.put_nowait({"type": "http.request", "body": json.dumps(body).encode()})
        headers = [(b"authorization", f"Bearer {CLIENT_KEY}".encode())]
        scope = {"type": "http", "method": "POST", "path": "/v1/chat/completions"}
        app = r.api.application()
        whole: Any = {**scope, "headers": headers, "query_string": b""}
        request = asyncio.create_task(_call(app, whole, receive.get, send))
        await begun.wait()
        request.cancel()
        await asyncio.wait({request})
        record = await only_record(r)

        assert request.cancelled()
        assert record.state == "cancelled"
        await eventually(lambda: not r.components["a"].running)


async def test_failures_are_told_apart_by_the_first_byte() -> None:
    """Without an answer it fails before the first byte, with all asked; a cut stream after it."""

    async def breaks_off(_: Request) -> Response:
        event = b'data: {"choices": [{"index": 0, "delta": {"content": "x"}}]}\n\n'
        return StreamingResponse(iter([event]), media_type="text/event-stream")

    app = Starlette(routes=[Route("/v1/chat/completions", breaks_off, methods=["POST"])])
    async with serving(app) as url, rig(remote_blend(f"{url}/v1")) as r:
        await r.chat(stream=True)
        after = await only_record(r)
    async with rig(remote_blend("http://127.0.0.1:9/v1")) as r:
        response = await r.chat()
        before = await only_record(r)

    assert after.state == "failed_after_first_byte"
    assert after.component == "far"
    assert before.state == "failed_before_first_byte"
    assert (before.component, before.propensity) == (None, None)
    assert {failure["component"] for failure in before.failures} == {"far"}
    assert response.status_code == 503
    assert response.headers["x-blended-response-id"] == before.response_id


async def test_a_request_that_a_component_refuses_is_no_failure() -> None:
    """The component's error ends it before the first byte."""

    async def refuses(_: Request) -> Response:
        return JSONResponse({"error": {"message": "No such parameter."}}, 400)

    app = Starlette(routes=[Route("/v1/chat/completions", refuses, methods=["POST"])])
    async with serving(app) as url, rig(remote_blend(f"{url}/v1")) as r:
        response = await r.chat()
        record = await only_record(r)

    assert response.status_code == 400
    assert record.state == "refused"
    assert record.response_id == response.headers["x-blended-response-id"]


async def test_requests_that_get_no_response_are_refusals() -> None:
    """Requests without a key, with a bad body or at a wrong path count by status and code."""
    async with rig(blend("a")) as r:
        await r.client.get("/v1/models", headers={"Authorization": "Bearer no"})
        await r.chat(temperature="hot")
        await r.chat(model="nobody")
        await r.client.get("/nowhere")

        assert r.records == []
        assert r.refusals == [
            (401, "invalid_api_key"),
            (400, "invalid_value"),
            (404, "model_not_found"),
            (404, None),
        ]


async def test_histories_tell_which_response_was_answered_and_which_before(tmp_path: Path) -> None:
    """A user's next turn has the last history as its parent; a repeated request has equal ones."""
    first: list[dict[str, Any]] = [*HELLO]
    second = [*first, {"role": "assistant", "content": "Hi!"}, {"role": "user", "content": "Why?"}]
    with journal(tmp_path) as kept:
        async with rig(blend("a"), kept) as r:
            for messages in (first, first, second):
                await r.chat(messages=messages, user="ada")
            await r.chat(messages=first, user="bob")
            await r.chat(messages=first)
            await eventually(lambda: len(r.records) == 5)
            asked, again, later, others, anybodys = r.records

    assert asked.lineage == again.lineage == later.parent is not None
    assert asked.parent is None
    assert later.lineage not in (asked.lineage, None)
    assert others.lineage not in (asked.lineage, None)
    assert anybodys.lineage is None  # another client may send the same words


def test_the_texts_of_a_response_are_put_together() -> None:
    """They come from a document or from events, for each choice, ordered by index."""
    document = json.dumps({"choices": [{"index": 1, "text": "b"}, {"index": 0, "text": "a"}]})
    pieces = [(0, "He"), (1, "Yo"), (0, "llo")]
    stream = [
        f"data: {json.dumps({'choices': [{'index': i, 'delta': {'content': t}}]})}\n\n".encode()
        for i, t in pieces
    ]

    assert texts([document.encode()]) == ["a", "b"]
    assert texts([*stream, b"data: [DONE]\n\n"]) == ["Hello", "Yo"]
    assert texts([]) == []
