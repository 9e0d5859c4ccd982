"""Look-ahead: the component that was drawn early reads the conversation while the user does."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from blended import tracing
from blended.config import BlendConfig, History
from loadtests.harness.redis_server import RedisServer
from tests.router.ahead import ENGINE, Engines, config, routers
from tests.router.history.histories import SERVED, render
from tests.support import HELLO, eventually, serving


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """The spans of a router that traces."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "_TRACER", provider.get_tracer("test"))
    return exporter


async def test_a_reading_is_the_beginning_of_the_next_prompt() -> None:
    """The history with the response, in the component's form, for one token after all others."""
    tools = [{"type": "function", "function": {"name": "now", "parameters": {}}}]
    args = {"enable_auto_tool_choice": True, "tool_call_parser": "hermes"}
    form: dict[str, Any] = {
        "history": {"alternate": True, "system": "fold"},
        "engine": ENGINE | {"args": args},
    }
    system = {"role": "system", "content": "Be kind."}
    async with routers(config("a", "b", **form)) as r:
        reading = await r.until_read([system, *HELLO], tools=tools, stop=["."], temperature=0.4)

    assert [message["role"] for message in reading["messages"]] == ["user", "assistant", "user"]
    assert reading["messages"][0]["content"] == "Be kind.\n\nHello!"
    assert reading["messages"][1]["content"].startswith("I am ")
    assert reading["tools"] == tools
    assert reading["add_generation_prompt"] is False
    assert reading["priority"] > 0
    assert reading["cache_salt"]
    assert not {"stream", "stop", "tool_choice"} & reading.keys()


@pytest.mark.parametrize(
    ("template", "history"),
    [*SERVED, ("thinking", History(tools="text")), ("mistral", History(reasoning=True))],
)
async def test_the_next_prompt_goes_on_where_the_reading_ended(
    template: str, history: History
) -> None:
    """Whatever the component's form of a history and its template, only the user's text is new."""
    thought = {"role": "assistant", "content": "<think>Hm.</think>Good day."}
    call = {"id": "1", "type": "function", "function": {"name": "now", "arguments": "{}"}}
    past: list[Any] = [
        {"role": "system", "content": "Be kind."},
        *HELLO,
        thought,
        {"role": "user", "content": "What time is it?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": "12:00"},
    ]
    async with routers(config("a", "b", history=history.model_dump())) as r:
        read: list[tuple[str, Any]] = []
        for n in range(60):
            said = await r.ask(past, f"c{n}")
            if read := r.engines.read():
                break
        await r.ask([*past, said, {"role": "user", "content": "Thanks!"}], f"c{n}")

    [(component, reading)] = read
    name, request = r.engines.answered()[-1]
    assert name == component
    assert request["messages"][:-1] == reading["messages"][:-1]
    assert request["cache_salt"] == reading["cache_salt"]
    read_ahead, _, _ = render(template, reading["messages"], ask=False).rpartition(".")
    assert render(template, request["messages"]).startswith(read_ahead)
    assert said["content"] in read_ahead


async def test_a_reading_keeps_to_its_components_bounds() -> None:
    """An API may refuse shorter responses, or other temperatures."""
    bounds = {"min_p": {"min": 0.1, "default": 0.1}, "temperature": {"default": 1, "min": 1}}
    async with routers(config("a", "b", sampling=bounds)) as r:
        reading = await r.until_read(HELLO, temperature=0)

    assert reading["temperature"] == 1
    assert reading["min_p"] == 0.1


async def test_a_reading_with_tools_needs_no_parser_of_calls() -> None:
    """Tools that the client forbids to call are in the prompt, and any engine may answer."""
    tools = [{"type": "function", "function": {"name": "now", "parameters": {}}}]
    async with routers(config("a", "b")) as r:
        reading = await r.until_read(HELLO, tools=tools, tool_choice="none")

    assert reading["tools"] == tools
    assert reading["tool_choice"] == "none"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/v1/chat/completions", {}),
        ("/v1/messages", {"max_tokens": 9}),
        ("/v1/responses", {"input": HELLO, "messages": None, "store": False}),
    ],
)
async def test_every_api_of_chats_looks_ahead(
    path: str, fields: dict[str, Any], stream: bool
) -> None:
    """The reading ends with the text that the client got."""
    fields = {"messages": HELLO, "stream": stream, **fields}
    async with routers(config("a", "b")) as r:
        reading = await r.until_read(fields.pop("messages"), path, **fields)

    answered, _ = r.engines.answered()[-1]
    user, said, _ = reading["messages"]
    assert (user["role"], said["role"]) == ("user", "assistant")
    assert said["content"] == f"I am {answered}."


async def test_a_prefilled_response_is_not_read() -> None:
    """It goes on with a message of the client, which stands in the history already."""
    prefilled = [*HELLO, {"role": "assistant", "content": "I"}]
    async with routers(config("a", "b")) as r:
        for _ in range(20):
            body = {"model": "blend", "messages": prefilled, "continue_final_message": True}
            await r.clients[0].post("/v1/chat/completions", json=body)
            await r.settled()

    assert len(r.records) == 20
    assert not r.engines.read()


async def test_nothing_but_metrics_tells_of_a_reading() -> None:
    """It is no response: it has no record and no arrival."""
    async with routers(config()) as r:
        await r.until_read(HELLO)
        expected = r.apis[0].arrivals.expected(r.apis[0].blend)  # type: ignore[arg-type]

    asked = len(r.engines.asked) - len(r.engines.read())
    assert len(r.records) == asked
    assert sum(rate for rate in expected[60].values()) == pytest.approx(asked / 60)
    (component, _), *_ = r.engines.read()
    assert r.seen[component, "asked"] == 1
    assert r.seen[component, "tokens"] == 30 - 16


@pytest.mark.parametrize("status", [400, 429, 500])
async def test_a_component_that_refuses_to_read_costs_nothing(status: int) -> None:
    """It is asked once, answers requests as before, and one that fails is left in peace."""
    async with routers(config()) as r:
        r.engines.statuses = dict.fromkeys("abc", status)
        for n in range(20):
            await r.talk(3, f"c{n}")

    assert {record.state for record in r.records} == {"finished"}
    assert not any(record.failures for record in r.records)
    asked = sum(r.seen[name, "asked"] for name in "abc")
    assert sum(r.seen[name, "dropped"] for name in "abc") == asked
    if status != 400:
        assert asked <= 3
        assert sum(r.seen[name, "busy"] for name in "abc") > 0


async def test_a_component_reads_few_conversations_at_once() -> None:
    """The others are drawn ahead all the same."""
    async with routers(config("a", "b")) as r:
        r.engines.held = {"a", "b"}
        for n in range(30):
            await r.ask(HELLO, f"c{n}")
        counts = Counter(name for name, _ in r.engines.read())
        r.engines.release.set()
        r.engines.held = set()
        await r.settled()

    # By chance a component is drawn less than twice after the other in one run of a million.
    assert counts == {"a": 2, "b": 2}
    assert r.seen["a", "busy"] + r.seen["b", "busy"] > 0


async def test_a_component_reads_few_of_those_that_come_at_once(redis: RedisServer) -> None:
    """Also while the store has not answered yet."""
    async with routers(config("a", "b", store=redis.url)) as r:
        r.engines.held = {"a", "b"}
        await asyncio.gather(*(r.ask(HELLO, f"at-once-{n}") for n in range(30)))
        counts = Counter(name for name, _ in r.engines.read())
        r.engines.release.set()
        await r.settled()

    assert counts == {"a": 2, "b": 2}


async def test_a_response_in_place_of_another_ends_its_reading() -> None:
    """A retry's response is what the user reads."""
    async with routers(config("a", "b")) as r:
        r.engines.held = {"a", "b"}
        for _ in range(60):
            await r.ask(HELLO, "retried")
            if r.engines.cut:
                break
        await eventually(lambda: r.engines.holding <= 1)
        assert r.apis[0].look_ahead.under_way == r.engines.holding

    assert r.engines.cut


async def test_a_request_ends_the_reading_that_is_still_under_way() -> None:
    """It would compete with the request."""
    async with routers(config("a", "b")) as r:
        r.engines.held = {"a", "b"}
        for n in range(60):
            said = await r.ask(HELLO, f"c{n}")
            if r.engines.read():
                break
        await r.ask([*HELLO, said, *HELLO], f"c{n}")
        await eventually(lambda: r.engines.cut == 1)

    assert r.records[-1].state == "finished"


async def test_a_router_that_ends_reads_no_more() -> None:
    """What is under way ends with it."""
    async with routers(config("a", "b")) as r:
        r.engines.held = {"a", "b"}
        for n in range(60):
            await r.ask(HELLO, f"c{n}")
            if r.engines.read():
                break
        assert r.apis[0].look_ahead.under_way

    assert not r.apis[0].look_ahead.under_way


async def test_a_response_under_an_earlier_blend_is_not_looked_ahead() -> None:
    """The new one may have other components, or another store."""
    async with routers(config("a", "b")) as r:
        r.engines.answering.clear()
        asked = [asyncio.create_task(r.ask(HELLO, f"c{n}")) for n in range(20)]
        await eventually(lambda: len(r.engines.asked) == 20)
        r.use(config("a", "b", weights={"a": 1, "b": 0}))
        r.engines.answering.set()
        await asyncio.gather(*asked)

    assert not r.engines.read()


async def test_spans_of_readings_hold_no_text(exporter: InMemorySpanExporter) -> None:
    """A component's error may quote the conversation; the span says that it failed."""
    async with routers(config("a", "b")) as r:
        await r.until_read(HELLO)
        r.engines.statuses = dict.fromkeys("ab", 400)
        for n in range(20):
            await r.ask(HELLO, f"c{n}")
        spans = [s for s in exporter.get_finished_spans() if s.name.startswith("read_ahead")]

    good, *bad = spans
    assert good.status.status_code is not StatusCode.ERROR
    assert bad
    for span in bad:
        assert span.status.status_code is StatusCode.ERROR
        assert not span.events
        assert not span.status.description
    assert r.engines.traced


@pytest.mark.parametrize("prefetch", [True, False])
@pytest.mark.usefixtures("exporter")
async def test_a_remote_component_reads_ahead_if_it_says_so(prefetch: bool) -> None:
    """It may bill for it; it gets no field that only engines know, and no trace."""
    async with serving(engines := Engines()) as url:
        remote = {
            "kind": "remote",
            "base_url": f"{url}/components/far/v1",
            "model": "m",
            "prefetch": prefetch,
            "dialect": "mistral",
        }
        components = [{"id": name, **remote} for name in ("a", "b")]
        fields = {"name": "blend", "components": components, "selection": {"look_ahead": True}}
        engines.answering.set()
        async with routers(BlendConfig.model_validate(fields)) as r:
            for n in range(40):
                await r.ask(HELLO, f"c{n}")

    assert bool(engines.read()) is prefetch
    assert bool(r.seen) is prefetch
    for _, reading in engines.read():
        assert not {"add_generation_prompt", "priority", "cache_salt"} & reading.keys()
        assert reading["messages"][-1]["role"] == "user"  # another end is refused
    assert not engines.traced
