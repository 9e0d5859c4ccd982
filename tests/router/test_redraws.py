"""Requests whose component does not answer: another one answers, or the client gets 503."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from blended.config import BlendConfig
from tests.support import Rig, body_of, events, eventually, rig, serving

Status = Callable[[str, dict[str, str]], int]


class Upstreams:
    """OpenAI-compatible servers under /a, /b and /c, which answer with the given statuses.

    `statuses` are those of responses, `checks` those of the list of models.
    """

    def __init__(self, **checks: int) -> None:
        self.statuses: dict[str, int] = {}
        self.checks = checks
        self.cut: set[str] = set()
        self.hung: set[str] = set()
        self.asked: list[tuple[str, str]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        await body_of(receive)
        _, name, *path = scope["path"].split("/")
        if name in self.hung:
            await asyncio.Future()
        if path == ["models"]:
            await self.respond(send, self.checks.get(name, 200), b"{}")
            return
        status = self.statuses.get(name, 200)
        headers = dict(scope["headers"])
        self.asked.append((name, headers[b"x-session-id"].decode()))
        if name in self.cut:
            raise ConnectionError
        document = {"model": name, "choices": [{"finish_reason": "stop"}]}
        await self.respond(send, status, json.dumps(document).encode())

    async def respond(self, send: Any, status: int, body: bytes) -> None:
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def counts(self) -> Counter[str]:
        return Counter(name for name, _ in self.asked)


@asynccontextmanager
async def routed(upstreams: Upstreams, period_s: float = 3600) -> AsyncIterator[Rig]:
    """A router before three remote components, which by default checks them only once."""
    async with serving(upstreams) as url:
        components = [
            {
                "id": name,
                "kind": "remote",
                "dialect": "vllm",
                "base_url": f"{url}/{name}",
                "model": name,
                "health": {"period_s": period_s, "timeout_s": 2, "failures": 3},
            }
            for name in "abc"
        ]
        config = {"name": "blend", "components": components, "api": {"reveal_component": True}}
        async with rig(BlendConfig.model_validate(config)) as r:
            yield r


async def test_a_failing_component_costs_the_client_nothing() -> None:
    """A component always answers, and the header counts those that were asked."""
    upstreams = Upstreams()
    async with routed(upstreams) as r:
        upstreams.statuses["a"] = 500
        responses = [await r.chat() for _ in range(40)]
        await eventually(lambda: len(r.records) == 40)

    for record in r.records:
        assert record.left == (["b", "c"] if record.failures else record.left)
        assert record.propensity == pytest.approx(1 / len(record.left or ()))
    assert {response.status_code for response in responses} == {200}
    for response in responses:
        redrawn = response.headers["x-blended-intended"] == "a"
        assert response.headers["x-blended-component"] in ("b", "c")
        if int(response.headers["x-blended-attempts"]) > 1:
            assert redrawn
            assert response.headers["x-blended-propensity"] == "0.5"


async def test_requests_that_wait_for_a_component_that_hangs_are_redrawn() -> None:
    """When its check fails they go to others, long before the first byte's budget ends."""
    upstreams = Upstreams()
    async with routed(upstreams, period_s=0.1) as r:
        upstreams.hung.add("a")
        waiting = [r.chat(messages=[{"role": "user", "content": str(n)}]) for n in range(20)]
        responses = await asyncio.gather(*waiting)

    assert {response.status_code for response in responses} == {200}
    redrawn = [r for r in responses if r.headers["x-blended-intended"] == "a"]
    assert redrawn
    assert {r.headers["x-blended-component"] for r in redrawn} <= {"b", "c"}


async def test_the_second_attempt_is_at_another_replica_of_the_same_component() -> None:
    """The second attempt has another session, always the same for a conversation."""
    upstreams = Upstreams()
    async with routed(upstreams) as r:
        upstreams.statuses["a"] = 503
        for _ in range(4):
            await r.chat(model="a", headers={"X-Conversation-ID": "one"})

    first, second = upstreams.asked[:2]
    assert first[0] == second[0] == "a"
    assert first[1] != second[1]
    assert upstreams.asked == [first, second] * 4


async def test_who_is_full_and_has_one_replica_is_not_asked_again() -> None:
    """There is no other replica to ask."""
    upstreams = Upstreams()
    async with routed(upstreams) as r:
        upstreams.statuses["a"] = 429
        response = await r.chat(model="a")

    assert response.status_code == 429
    assert len(upstreams.asked) == 1


async def test_a_component_that_is_cut_before_its_first_byte_is_replaced() -> None:
    """A connection that breaks is no answer either."""
    upstreams = Upstreams()
    async with routed(upstreams) as r:
        upstreams.cut = {"a", "b"}
        responses = [await r.chat() for _ in range(10)]

    assert {response.headers["x-blended-component"] for response in responses} == {"c"}


async def test_when_all_are_full_the_client_is_told_to_come_back() -> None:
    """429 of all components gives one 429 with Retry-After; no component counts as failing."""
    upstreams = Upstreams()
    async with routed(upstreams) as r:
        upstreams.statuses |= {"a": 429, "b": 429, "c": 429}
        responses = [await r.chat() for _ in range(4)]

        assert {response.status_code for response in responses} == {429}
        assert {response.json()["error"]["code"] for response in responses} == {"overloaded"}
        assert all(int(response.headers["retry-after"]) > 0 for response in responses)
        assert not r.api.availability.unavailable
        upstreams.statuses.clear()
        assert (await r.chat()).status_code == 200


async def test_when_nobody_is_left_the_client_is_told_to_come_back() -> None:
    """A blend without a component that answers gives 503 with Retry-After."""
    upstreams = Upstreams()
    upstreams.statuses = {"a": 500, "b": 503, "c": 404}
    async with routed(upstreams) as r:
        response = await r.chat()

    assert response.status_code == 503
    assert int(response.headers["retry-after"]) > 0
    assert response.json()["error"]["code"] == "component_unavailable"


async def test_a_component_that_fails_again_and_again_leaves_the_draw() -> None:
    """After three failures in a row it is not asked until a check succeeds."""
    upstreams = Upstreams()
    async with routed(upstreams) as r:
        upstreams.statuses["a"] = 500
        for _ in range(30):
            await r.chat()

        assert r.api.availability.unavailable == {"a"}
        # Each response asks it twice before it redraws, so that the third failure is the last.
        assert upstreams.counts()["a"] in (3, 4)


async def test_checks_take_a_component_out_and_back() -> None:
    """A component that fails checks leaves within its period, and returns by itself."""
    upstreams = Upstreams()
    async with routed(upstreams, period_s=0.05) as r:
        upstreams.checks["b"] = 503
        await eventually(lambda: r.api.availability.unavailable == {"b"})
        upstreams.asked.clear()
        attempts = {(await r.chat()).headers["x-blended-attempts"] for _ in range(20)}
        assert attempts == {"1"}
        assert upstreams.counts()["b"] == 0

        upstreams.checks.clear()
        await eventually(lambda: not r.api.availability.unavailable)


async def test_checks_follow_a_change_of_the_blend() -> None:
    """A new blend has its own components checked."""
    first, second = Upstreams(), Upstreams(a=503)
    async with routed(first, period_s=0.05) as r, routed(second, period_s=0.05) as other:
        await eventually(lambda: other.api.availability.unavailable == {"a"})
        assert other.api.blend is not None
        assert other.api.access is not None
        r.api.use(other.api.blend, other.api.access, None)

        await eventually(lambda: r.api.availability.unavailable == {"a"})


async def test_a_client_that_leaves_is_not_served_by_another_component() -> None:
    """The disconnect cancels further attempts."""
    config = {
        "name": "blend",
        "components": [
            {"id": name, "kind": "simulated", "simulation": {"ttft_ms": 600_000}} for name in "ab"
        ],
    }
    async with rig(BlendConfig.model_validate(config)) as r:
        waiting = asyncio.create_task(r.chat())
        await eventually(lambda: sum(c.running for c in r.components.values()) == 1)
        waiting.cancel()

        await eventually(lambda: sum(c.cancelled for c in r.components.values()) == 1)
        assert sum(c.running for c in r.components.values()) == 0


async def test_a_stream_is_never_continued_by_another_component() -> None:
    """After the first byte a failure gives an error event, and no other component is asked."""
    asked: list[str] = []

    async def breaks_off(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        if scope["path"].endswith("models"):
            await Upstreams().respond(send, 200, b"{}")
            return
        asked.append(scope["path"])
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        event = b'data: {"model":"x","choices":[{"delta":{"content":"Hi"}}]}\n\n'
        await send({"type": "http.response.body", "body": event, "more_body": True})
        raise ConnectionError

    async with routed(breaks_off) as r:  # type: ignore[arg-type]
        response = await r.chat(stream=True)

    assert len(asked) == 1
    assert events(response.content)[-1]["error"]["code"] == "interrupted"
