"""A stream that has not begun is kept alive by comments, and then ends as any other."""

import json
from typing import Any

import pytest

from blended.config import BlendConfig
from blended.sse import KEEP_ALIVE
from tests.support import HELLO, Rig, events, eventually, rig

SOON_S = 0.02


def late(ttft_ms: float, first_byte_s: float = 60, keep_alive_s: float = SOON_S) -> BlendConfig:
    """A blend of one component whose first token takes so long."""
    component = {
        "id": "a",
        "kind": "simulated",
        "simulation": {"ttft_ms": ttft_ms, "itl_ms": 0, "tokens": 4, "jitter": 0},
        "timeouts": {"first_byte_s": first_byte_s},
    }
    api = {"keep_alive_s": keep_alive_s, "reveal_component": True}
    return BlendConfig.model_validate({"name": "blend", "components": [component], "api": api})


async def ask(r: Rig, is_stream: bool = True) -> Any:
    """A response, once its record is there."""
    response = await r.chat(stream=is_stream)
    await eventually(lambda: len(r.records) == 1)
    return response


async def test_comments_come_until_the_response_begins() -> None:
    """Clients ignore them; the record has the time of the first token, not of a comment."""
    async with rig(late(ttft_ms=200)) as r:
        response = await ask(r)

    assert response.status_code == 200
    assert response.content.startswith(KEEP_ALIVE)
    assert events(response.content)[-1] == "[DONE]"
    assert response.headers["x-blended-response-id"] == r.records[0].response_id
    assert r.records[0].state == "finished"
    assert r.records[0].ttft_s is not None
    assert r.records[0].ttft_s >= 0.2


async def test_a_stream_that_begins_in_time_has_no_comment() -> None:
    """Its headers tell of the component."""
    async with rig(late(ttft_ms=0, keep_alive_s=60)) as r:
        response = await ask(r)

    assert KEEP_ALIVE not in response.content
    assert response.headers["x-blended-component"] == "a"


async def test_a_whole_answer_has_no_comment() -> None:
    """JSON has no place for one."""
    async with rig(late(ttft_ms=100)) as r:
        response = await ask(r, is_stream=False)

    assert response.json()["choices"]


async def test_after_a_comment_an_error_is_an_event() -> None:
    """The status is sent; the client hears what it would have read, and the record says failed."""
    async with rig(late(ttft_ms=600_000, first_byte_s=0.2)) as r:
        response = await ask(r)

    assert response.status_code == 200
    (error,) = events(response.content)
    assert error["error"]["code"] == "component_unavailable"
    assert r.records[0].state == "failed_before_first_byte"


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/messages"])
async def test_other_apis_hear_of_the_error_in_their_words(path: str) -> None:
    """Their streams end with their own events."""
    body = {"model": "blend", "stream": True, "max_tokens": 9}
    body |= {"input": "Hello!"} if "responses" in path else {"messages": HELLO}
    body = {k: v for k, v in body.items() if not ("responses" in path and k == "max_tokens")}
    async with rig(late(ttft_ms=600_000, first_byte_s=0.2)) as r:
        response = await r.client.post(path, content=json.dumps(body))

    assert response.status_code == 200
    last = events(response.content)[-1]
    assert last["type"] == ("response.failed" if "responses" in path else "error")


async def test_a_client_that_leaves_while_it_is_kept_alive_cancels_the_generation() -> None:
    """The component hears of it as before any comment."""
    async with rig(late(ttft_ms=600_000)) as r:
        body = {"model": "blend", "messages": HELLO, "stream": True}
        async with r.client.stream("POST", "/v1/chat/completions", json=body) as response:
            assert await anext(response.aiter_bytes()) == KEEP_ALIVE
        await eventually(lambda: r.components["a"].cancelled == 1)
        await eventually(lambda: len(r.records) == 1)

    assert r.records[0].state == "cancelled"
