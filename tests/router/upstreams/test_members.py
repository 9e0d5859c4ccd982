"""Members that misbehave: another component answers, or the client hears that a response failed."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.journal.journals import journal
from tests.router.upstreams.member import (
    END,
    GOOD,
    GOOD_STREAM,
    HTML,
    ROLE,
    SSE,
    TEXT,
    Reply,
    compressed,
    data,
    document,
    site,
    stream,
    text,
    whole,
)
from tests.support import Rig, eventually

ERROR = {"error": {"message": "It failed.", "code": None}}
USAGE = {"usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}, "choices": []}
CHOICES: list[Any] = [{"index": 0, "delta": {}, "finish_reason": "error"}]

UNARY = {
    "an answer": whole(GOOD),
    "gzip that nobody asked for": whole(compressed(GOOD, "gzip"), (b"content-encoding", b"gzip")),
    "deflate": whole(compressed(GOOD, "deflate"), (b"content-encoding", b"deflate")),
    "JSON without a content type": whole(GOOD, (b"x-other", b"1")),
    "JSON with a byte order mark of spaces": whole(b"\n  " + GOOD),
}
STREAMED = {
    "an answer": stream(GOOD_STREAM),
    "gzip": stream(compressed(GOOD_STREAM, "gzip"), headers=[(b"content-encoding", b"gzip")]),
    "CRLF": stream(data(ROLE, TEXT, END, "[DONE]", line=b"\r\n")),
    "comments first": stream(b": PROCESSING\n\n", b": PROCESSING\n\n", GOOD_STREAM),
    "comments between": stream(data(ROLE, TEXT), b": still here\n\n", data(END, "[DONE]")),
    "no space after the colon": stream(GOOD_STREAM.replace(b"data: ", b"data:")),
    "event types": stream(GOOD_STREAM.replace(b"data: {", b"event: message\ndata: {")),
    "a byte at a time": stream(*(bytes([byte]) for byte in GOOD_STREAM)),
    "filter results before the text": stream(
        data({"choices": [], "prompt_filter_results": []}), GOOD_STREAM
    ),
    "another content type": Reply([GOOD_STREAM], [(b"content-type", b"text/plain")]),
    "usage at the end": stream(data(ROLE, TEXT, END, USAGE, "[DONE]")),
}


@pytest.mark.parametrize(
    ("reply", "is_stream"),
    [
        *(pytest.param(reply, False, id=name) for name, reply in UNARY.items()),
        *(pytest.param(reply, True, id=f"streamed: {name}") for name, reply in STREAMED.items()),
    ],
)
async def test_an_odd_but_correct_answer_reaches_the_client(reply: Reply, is_stream: bool) -> None:
    """Its form does not matter: the client gets plain bytes, and no other component is asked."""
    async with site(reply) as s:
        response = await s.ask(is_stream)

        assert response.status_code == 200
        assert "content-encoding" not in response.headers
        assert text(response, is_stream) == "odd"
        assert response.headers["x-blended-component"] == "odd"
        assert s.member.headers[0]["accept-encoding"] == "identity"
        assert s.rig.records[-1].state == "finished"
        assert s.reasons == []


BROKEN_UNARY = {
    "an error document": whole(json.dumps(ERROR).encode()),
    "an error beside choices": whole(json.dumps(document() | ERROR).encode()),
    "an error as the reason to finish": whole(json.dumps(document(finish_reason="error")).encode()),
    "a page": whole(b"<html>Sign in</html>", HTML),
    "nothing": whole(b""),
    "no choices": whole(b'{"choices": []}'),
    "choices that are null": whole(b'{"choices": null}'),
    "a list": whole(b"[1]"),
    "half of a document": whole(GOOD[:40]),
    "a stream that nobody asked for": stream(GOOD_STREAM),
    "an encoding that is not what it says": whole(GOOD, (b"content-encoding", b"gzip")),
    "status 500": whole(b"trace", status=500),
}
BROKEN_STREAMS = {
    "an error first": stream(data(ERROR)),
    "an error without a space": stream(b'data:{"error":{"message":"no"}}\n\n'),
    "an error event": stream(b'event: error\ndata: {"message": "no"}\n\n'),
    "an error after comments": stream(b": PROCESSING\n\n", b": PROCESSING\n\n", data(ERROR)),
    "an error after the role": stream(data(ROLE), data(ERROR)),
    "an error beside empty choices": stream(data({"id": "1", "choices": CHOICES, **ERROR})),
    "an error as JSON": Reply([json.dumps(ERROR).encode()], [SSE]),
    "a document": whole(GOOD),
    "a page": whole(b"<html>Sign in</html>", HTML),
    "nothing": stream(b""),
    "comments only": stream(b": PROCESSING\n\n" * 3),
    "the end only": stream(data("[DONE]")),
    "the role only": stream(data(ROLE)),
    "no JSON": stream(b"data: hello\n\n"),
    "too many comments": stream(*([b": " + b"x" * 10_000 + b"\n\n"] * 20)),
}


@pytest.mark.parametrize(
    ("reply", "is_stream"),
    [
        *(pytest.param(reply, False, id=name) for name, reply in BROKEN_UNARY.items()),
        *(pytest.param(r, True, id=f"streamed: {name}") for name, r in BROKEN_STREAMS.items()),
    ],
)
async def test_what_is_no_answer_is_answered_by_another_component(
    reply: Reply, is_stream: bool
) -> None:
    """Status 200 is no success by itself; the member that failed is blamed, as another answers."""
    async with site(reply) as s:
        for _ in range(2):
            response = await s.ask(is_stream)

            assert response.status_code == 200
            assert response.headers["x-blended-component"] == "well"
            assert text(response, is_stream) == "odd"
            assert set(s.reasons) <= {"broken"}
            assert s.rig.records[-1].state == "finished"
        assert s.rig.api.availability.unavailable == {"odd"}


@pytest.mark.parametrize(
    ("reply", "is_stream"), [(whole(b"trace", status=500), False), (stream(data(ERROR)), True)]
)
async def test_a_request_that_breaks_every_component_is_suspect(
    reply: Reply, is_stream: bool
) -> None:
    """The client hears it and is told not to repeat it; no component leaves the draw."""
    async with site(reply, alone=True) as s:
        for _ in range(3):
            response = await s.ask(is_stream)

            assert response.status_code == 502
            assert response.json()["error"]["code"] == "request_failed"
            assert response.headers["x-should-retry"] == "false"
            assert s.rig.records[-1].state == "failed_before_first_byte"
        assert s.rig.api.availability.unavailable == frozenset()


LATE_ERRORS = {
    "an error": data(ERROR),
    "an error with choices": data({"id": "1", "choices": CHOICES, **ERROR}),
    "an error as the reason to finish": data({"id": "1", "choices": CHOICES}),
    "an error event": b'event: error\ndata: {"message": "no"}\n\n',
    "the end without [DONE]": b"",
}


@pytest.mark.parametrize("late", [pytest.param(v, id=k) for k, v in LATE_ERRORS.items()])
async def test_a_member_that_fails_later_ends_the_stream_with_one_error(late: bytes) -> None:
    """The client gets the text so far and an error event; the journal calls it failed."""
    async with site(stream(data(ROLE, TEXT), late)) as s:
        response = await s.ask(True)

        assert text(response, True) == "odd[error]"
        assert s.rig.records[-1].state == "failed_after_first_byte"
        assert b"It failed." not in response.content


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize(
    ("status", "message", "reason"),
    [
        (402, "Payment required", "refused"),
        (400, "You have reached your specified API usage limits: billing", "refused"),
        (400, "Your credit balance is too low", "refused"),
        (422, "Your organization is out of credits", "refused"),
        (401, "no", "refused"),
        (403, "no", "refused"),
        (407, "no", "refused"),
        (451, "no", "refused"),
        (408, "slow", "unavailable"),
        (409, "busy", "unavailable"),
        (425, "early", "unavailable"),
        (404, "no such model", "unavailable"),
        (405, "no", "unavailable"),
        (410, "gone", "unavailable"),
        (302, "elsewhere", "unavailable"),
        (429, "slow down", "full"),
        (529, "overloaded", "full"),
        (500, "trace", "broken"),
        (503, "down", "unavailable"),
    ],
)
async def test_a_members_own_trouble_is_not_the_clients(
    status: int, message: str, reason: str, is_stream: bool
) -> None:
    """Another component answers, and the client reads nothing of the member's account."""
    body = json.dumps({"error": {"message": message, "code": None, "param": None}}).encode()
    async with site(whole(body, status=status)) as s:
        response = await s.ask(is_stream)

        assert response.status_code == 200
        assert response.headers["x-blended-component"] == "well"
        assert set(s.reasons) == {reason}
        assert message not in response.text


async def test_an_account_without_quota_is_refused_and_not_full() -> None:
    """Such a 429 passes only once somebody pays, so that waiting does not help."""
    error = {"message": "You exceeded your current quota", "code": "insufficient_quota"}
    async with site(whole(json.dumps({"error": error}).encode(), status=429)) as s:
        await s.ask(False)

        assert s.reasons == ["refused"]


@pytest.mark.parametrize(
    ("status", "error", "code"),
    [
        (400, {"message": "bad", "param": "top_p"}, "invalid_value"),
        (400, {"message": "blocked", "code": "content_filter"}, "content_filter"),
        (400, {"message": "long", "code": "context_length_exceeded"}, "context_length_exceeded"),
        (400, {"message": "This model's maximum context length is 8."}, "context_length_exceeded"),
        (413, {"message": "large"}, "invalid_value"),
        (422, {"message": "odd"}, "invalid_value"),
    ],
)
async def test_a_complaint_about_the_request_reaches_the_client(
    status: int, error: dict[str, str], code: str
) -> None:
    """Its status, its words and the codes on which clients act are kept."""
    async with site(whole(json.dumps({"error": error}).encode(), status=status)) as s:
        response = await s.ask(False)

        assert response.status_code == status
        assert response.json()["error"]["code"] == code
        assert s.rig.records[-1].state == "refused"


@pytest.mark.parametrize(
    "body",
    [
        b'{"error": "no"}',
        b'{"message": "no"}',
        b'{"detail": "no"}',
        b'[{"error": {"message": "no"}}]',
    ],
)
async def test_complaints_come_in_many_shapes(body: bytes) -> None:
    """The message is found in the shapes of well-known servers."""
    async with site(whole(body, status=400)) as s:
        assert (await s.ask(False)).json()["error"]["message"] == "no"


async def test_a_full_member_says_when_to_come_back() -> None:
    """Its Retry-After reaches the client once every component is full."""
    reply = whole(b"{}", (b"retry-after", b"37"), status=429)
    async with site(reply, alone=True) as s:
        response = await s.ask(False)

        assert response.status_code == 429
        assert response.headers["retry-after"] == "37"


async def test_comments_are_no_pieces_of_a_response() -> None:
    """They count neither as tokens nor as the first one, and their text is not passed on."""

    busy = [b": member-name PROCESSING\n\n"] * 3
    reply = stream(*busy, data(ROLE, TEXT), *busy, data(TEXT), *busy, data(END, "[DONE]"))
    async with site(reply) as s:
        response = await s.ask(True)

        assert b"PROCESSING" not in response.content
        assert text(response, True) == "oddodd"
        # The role, two texts and the end.
        assert s.rig.records[-1].completion_tokens == 4


async def test_an_address_that_cannot_be_asked_stops_nothing_else() -> None:
    """A host that no name server takes is an error on every request and check of that member."""
    address = f"http://{'a' * 64}.example/v1"
    async with site(whole(GOOD), period_s=0.02, base_url=address) as s:
        response = await s.ask(False)

        assert response.status_code == 200
        assert response.headers["x-blended-component"] == "well"
        checked = s.member.checks["well"]
        await eventually(lambda: s.member.checks["well"] > checked + 2)
        assert s.rig.api.availability.unavailable == {"odd"}


SHAPES = {
    "content in parts": document(
        message={"role": "assistant", "content": [{"type": "text", "text": "odd"}]}
    ),
    "index null": document(index=None),
    "index a text": document(index="0"),
    "message null": document(message=None, text="odd"),
    "a choice that is a text": document() | {"choices": [document()["choices"][0], "odd"]},
    "usage a list": document() | {"usage": [1]},
    "usage of texts": document() | {"usage": {"total_tokens": "12", "prompt_tokens": True}},
    "usage below zero": document() | {"usage": {"total_tokens": -5, "prompt_tokens": -5}},
    "surrogates": document(message={"role": "assistant", "content": "\ud800"}),
}


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize("shape", [pytest.param(v, id=k) for k, v in SHAPES.items()])
async def test_every_response_leaves_its_record_whatever_its_shape(
    shape: dict[str, Any], is_stream: bool, tmp_path: Path
) -> None:
    """Metric, record and charge do not depend on what a member makes of OpenAI's format."""
    streamed = json.loads(json.dumps(shape).replace('"message"', '"delta"'))
    reply = stream(data(streamed, "[DONE]")) if is_stream else whole(json.dumps(shape).encode())
    with journal(tmp_path, keep_content=True) as kept:
        async with site(reply, journal=kept) as s:
            response = await s.ask(is_stream)

            record = s.rig.records[-1]
            assert response.status_code == 200
            assert record.state == "finished"
            assert record.prompt_tokens is None or record.prompt_tokens >= 0
            assert record.content is not None
            assert record.content["response"][0] in ("odd", "\ud800")
            found = await stored(s.rig, record.response_id)
            assert found["state"] == "finished"


async def stored(r: Rig, response_id: str) -> dict[str, Any]:
    """The record as clients get it, once it has arrived in the database."""
    found = await r.client.get(f"/v1/records/{response_id}")
    async with asyncio.timeout(30):
        while found.status_code != 200:
            # At first the database has no tables, then no record.
            assert found.status_code in (404, 503), found.text
            await asyncio.sleep(0.05)
            found = await r.client.get(f"/v1/records/{response_id}")
    document: dict[str, Any] = found.json()
    return document
