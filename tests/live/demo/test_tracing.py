"""One trace of one response, from the client through router and draw to the engine."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from blended.config import loading
from tests.live.collector import Collector, Received
from tests.live.conftest import Live
from tests.live.demo.conftest import applied
from tests.support import HELLO, events, eventually

pytestmark = pytest.mark.ray

SERVER, CLIENT = 2, 3
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
WARM_UP_TRACE = "5f0c3a9be1d24c7797d3d6d2a8f1b604"
OF_THE_COMPONENT = "replica_handle_request LLMServer:ember __call__"


@pytest.fixture(scope="module")
def live(demo: Live, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """The demo with all weight on ember, and a component that cannot be reached."""
    components = loading.load("demo").model_dump(mode="json")["components"]
    gone = {"id": "gone", "kind": "remote", "base_url": "http://127.0.0.1:9/v1", "model": "x"}
    weights = {"ember": 1, "flint": 0, "willow": 0, "gone": 0}
    changes = {"components": [*components, gone], "selection": {"weights": weights}}
    with applied(demo, tmp_path_factory.mktemp("tracing"), **changes):
        yield demo


async def ask(live: Live, sampled: bool, trace: str = TRACE, **fields: Any) -> httpx.Response:
    headers = {
        "Authorization": f"Bearer {live.api_key}",
        "X-Request-ID": "my-request",
        "traceparent": f"00-{trace}-{SPAN}-0{int(sampled)}",
    }
    body = {"model": "demo", "messages": HELLO, "stream": True, **fields}
    async with httpx.AsyncClient(timeout=60) as client:
        return await client.post(f"{live.url}/v1/chat/completions", json=body, headers=headers)


async def reach_the_component_by_haproxy(live: Live, collector: Collector) -> None:
    """Ask until a replica of the component has sent a span.

    Serve forwards requests through its fallback proxy, which traces nothing, until HAProxy has been
    restarted with a new replica.
    """
    async with asyncio.timeout(60):
        while OF_THE_COMPONENT not in {span.name for span in collector.spans}:
            await ask(live, sampled=True, trace=WARM_UP_TRACE)
            await asyncio.sleep(1)


async def test_a_streamed_response_is_one_trace(live: Live, collector: Collector) -> None:
    """Its spans: the replica of Ray Serve, the response, its component, the engine."""
    await reach_the_component_by_haproxy(live, collector)
    response = await ask(live, sampled=True, stream_options={"include_usage": True})
    usage = next(e["usage"] for e in events(response.content)[::-1] if "usage" in e)
    await eventually(lambda: len(of_trace(collector, TRACE)) >= 5, timeout_s=30)

    spans = {span.name: span for span in of_trace(collector, TRACE)}
    replica = spans["replica_handle_request Router __call__"]
    whole, asked = spans["chat demo"], spans["chat ember"]
    component = spans[OF_THE_COMPONENT]
    engine = spans["llm_request"]
    assert {span.trace for span in collector.spans} == {TRACE, WARM_UP_TRACE}
    assert chain(engine, spans) == [engine, asked, whole, replica]
    assert component.parent == asked.id
    assert replica.parent == SPAN
    assert [s.service for s in (whole, asked, engine)] == [
        "blended-router",
        "blended-router",
        "blended-ember",
    ]
    assert (whole.kind, asked.kind) == (SERVER, CLIENT)
    assert replica.start_ns <= whole.start_ns <= asked.start_ns <= engine.start_ns
    assert engine.end_ns <= asked.end_ns <= whole.end_ns

    response_id = response.headers["x-blended-response-id"]
    for span in (whole, asked):
        assert not span.is_error
        assert span.attributes["gen_ai.operation.name"] == "chat"
        assert span.attributes["gen_ai.response.id"] == response_id
        assert span.attributes["gen_ai.response.model"] == "ember"
        assert span.attributes["gen_ai.response.finish_reasons"] in (["stop"], ["length"])
        assert span.attributes["gen_ai.usage.input_tokens"] == usage["prompt_tokens"]
        assert span.attributes["gen_ai.usage.output_tokens"] == usage["completion_tokens"]
        assert span.attributes["gen_ai.response.time_to_first_chunk"] > 0
    assert whole.attributes["gen_ai.request.model"] == "demo"
    assert whole.attributes["blended.request_id"] == "my-request"
    assert whole.events["draw"]["blended.drawn"] == "ember"
    assert asked.attributes["gen_ai.provider.name"] == "vllm"
    assert asked.attributes["blended.propensity"] == 1
    assert engine.attributes["gen_ai.request.id"] == response_id
    assert "Hello" not in json.dumps([span.attributes for span in collector.spans])


def of_trace(collector: Collector, trace: str) -> list[Received]:
    """The spans of one trace."""
    return [span for span in collector.spans if span.trace == trace]


async def test_what_is_not_sampled_leaves_no_span(live: Live, collector: Collector) -> None:
    """A client that does not trace its request, with a ratio of 0: nothing is sent, not even by
    the components, for which Ray would begin traces of their own."""
    collector.spans.clear()
    for model in ("ember", "flint", "demo"):
        await ask(live, sampled=False, model=model)
    # Any spans of these requests would come before the spans of the next request.
    await ask(live, sampled=True, model="flint")
    await eventually(lambda: "chat flint" in {span.name for span in collector.spans}, timeout_s=30)

    assert {span.trace for span in collector.spans} == {TRACE}
    assert len([span for span in collector.spans if span.kind == CLIENT]) == 1


async def test_logs_are_json_with_ids_and_without_words(live: Live) -> None:
    """The log of a failed response has all its ids; no file has a text or a key."""
    words = [{"role": "user", "content": "xylophone-of-mine"}]
    failed = await ask(live, sampled=True, model="gone", messages=words)
    answered = await ask(live, sampled=True, messages=words)
    router = next(live.logs.glob("serve/replica_blended_Router_*.log"))

    def line() -> dict[str, Any]:
        response_id = failed.headers["x-blended-response-id"]
        found = [json.loads(text) for text in router.read_text().splitlines()]
        return next((one for one in found if one.get("response_id") == response_id), {})

    await eventually(lambda: bool(line()), timeout_s=10)

    assert answered.status_code == 200
    assert line()["trace_id"] == TRACE
    assert line()["request_id"] == "my-request"
    assert line()["levelname"] == "WARNING"
    assert "gone (unavailable)" in line()["message"]
    texts = [path.read_text(errors="replace") for path in live.logs.rglob("*") if path.is_file()]
    for secret in ("xylophone-of-mine", live.api_key, live.internal_key):
        assert [text for text in texts if secret in text] == []


def chain(span: Received, spans: dict[str, Received]) -> list[Received]:
    """A span and its collected ancestors."""
    by_id = {span.id: span for span in spans.values()}
    found = [span]
    while (parent := by_id.get(found[-1].parent)) is not None:
        found.append(parent)
    return found
