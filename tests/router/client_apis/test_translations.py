"""A chat answer in the words of the other APIs: every event, in its order, wherever chunks end."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from anthropic.types import Message, RawMessageStreamEvent
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from blended import sse
from blended.errors import ApiError
from blended.router.client_apis.all_apis import MESSAGES, RESPONSES
from blended.router.client_apis.client_api import ClientApi
from blended.router.client_apis.wire import Untranslatable
from blended.router.rewriting import Passage
from tests.router.client_apis.chat_member import (
    END,
    EVERYTHING,
    SAID,
    USAGE,
    Json,
    call,
    chunk,
    stream,
    whole,
)

RESPONSE_EVENTS: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
MESSAGE_EVENTS: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)

texts = st.text(max_size=3)
deltas = st.one_of(
    st.builds(lambda text: {"content": text}, texts),
    st.builds(lambda text: {"reasoning_content": text}, texts),
    st.builds(lambda text: {"refusal": text}, texts),
)

BROKEN = ApiError(500, "It broke off.", "interrupted")


@st.composite
def answers(draw: st.DrawFn) -> list[Json]:
    """The chunks of an answer: texts of several kinds, then calls one after another."""
    said = [chunk(delta) for delta in draw(st.lists(deltas, max_size=6))]
    for index in range(draw(st.integers(0, 3))):
        said.append(chunk(call(index, "", "f")))
        said += [chunk(call(index, piece)) for piece in draw(st.lists(texts, max_size=3))]
    end = draw(st.sampled_from(["stop", "length", "tool_calls", "content_filter"]))
    usage = draw(st.sampled_from([[], [END]]))
    return [chunk({"role": "assistant", "content": ""}), *said, chunk({}, end), *usage]


def translated(client_api: ClientApi, pieces: list[bytes], **request: Any) -> list[Json]:
    """The events of a chat stream that comes in these pieces, each checked against its name."""
    translation = client_api.translation(request, f"{client_api.prefix}-1", 1_790_000_000.5)
    passage = Passage(None, keep_usage=True)
    body = b"".join(translation.feed(passage.feed(piece)) for piece in pieces)
    return decoded(body + translation.feed(passage.flush()))


def decoded(body: bytes) -> list[Json]:
    """The events of a stream; each is named by its type."""
    found = list(sse.events([body]))
    documents: list[Json] = [json.loads(event.data) for event in found]
    assert [event.event for event in found] == [document["type"] for document in documents]
    return documents


def as_response(chunks: list[Json], **request: Any) -> list[Json]:
    """The events of the Responses API, each valid by OpenAI's types and numbered."""
    events = translated(RESPONSES, [stream(chunks)], **request)
    for event in events:
        RESPONSE_EVENTS.validate_python(event)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    return events


def as_message(chunks: list[Json], **request: Any) -> list[Json]:
    """The events of the Messages API, each valid by Anthropic's types."""
    events = translated(MESSAGES, [stream(chunks)], **request)
    for event in events:
        MESSAGE_EVENTS.validate_python(event)
    return events


def types(events: list[Json]) -> list[str]:
    """The types of events, a run of deltas once."""
    names = [event["type"] for event in events]
    return [n for i, n in enumerate(names) if not (n.endswith("delta") and names[i - 1] == n)]


def test_a_text_has_all_events_of_the_responses_api() -> None:
    """From `response.created` to `response.completed`, which holds the response as a whole."""
    events = as_response(SAID, instructions="Be brief.")

    assert types(events) == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    response = Response.model_validate(events[-1]["response"])
    assert response.output_text == "Hello"
    assert (response.id, response.model, response.status) == ("resp-1", "m", "completed")
    assert response.instructions == "Be brief."
    assert response.created_at == 1_790_000_000
    assert response.usage is not None
    assert (response.usage.input_tokens, response.usage.output_tokens) == (20, 9)
    assert response.usage.output_tokens_details.reasoning_tokens == 3


def test_reasoning_text_and_calls_are_items_of_a_response() -> None:
    """Each item ends before the next one begins, and calls grow by their arguments."""
    events = as_response(EVERYTHING)

    items = [e["item"] for e in events if e["type"] == "response.output_item.done"]
    assert [item["type"] for item in items] == ["reasoning", "message", *["function_call"] * 2]
    assert items == events[-1]["response"]["output"]
    assert items[0]["content"] == [{"type": "reasoning_text", "text": "Let me see."}]
    assert items[2]["arguments"] == '{"at": "sky"}'
    assert [item["call_id"] for item in items[2:]] == ["call-0", "call-1"]
    grown = [e["delta"] for e in events if e["type"].endswith("arguments.delta")]
    assert grown == ['{"at":', ' "sky"}', '{"at": "sea"}']


@pytest.mark.parametrize(
    ("end", "reason"), [("length", "max_output_tokens"), ("content_filter", "content_filter")]
)
def test_a_response_that_was_cut_is_incomplete(end: str, reason: str) -> None:
    """So is its last item, but not those before it."""
    events = as_response([chunk({"reasoning": "Hm."}), chunk({"content": "Hel"}), chunk({}, end)])

    last = events[-1]
    assert last["type"] == "response.incomplete"
    assert last["response"]["incomplete_details"] == {"reason": reason}
    assert [i["status"] for i in last["response"]["output"]] == ["completed", "incomplete"]
    assert last["response"]["usage"] is None


def test_a_response_that_breaks_off_has_failed() -> None:
    """The event names the reason; a call that was cut has no event that completes it."""
    translation = RESPONSES.translation({}, "resp-1", 1.0)
    body = translation.feed(stream(EVERYTHING[:6]).removesuffix(b"data: [DONE]\n\n"))
    events = decoded(body + translation.failed(BROKEN))

    assert events[-1]["type"] == "response.failed"
    assert events[-1]["response"]["error"] == {"code": "server_error", "message": "It broke off."}
    assert events[-1]["response"]["output"][-1]["status"] == "incomplete"
    assert not any(e["type"] == "response.function_call_arguments.done" for e in events)
    assert [e["sequence_number"] for e in events] == list(range(len(events)))


@pytest.mark.parametrize("client_api", [RESPONSES, MESSAGES])
def test_a_stream_has_one_end(client_api: ClientApi) -> None:
    """A failure before the first event is told, one after the last is not."""
    early, late = (client_api.translation({}, f"{client_api.prefix}-1", 1.0) for _ in range(2))
    late.feed(stream(SAID))

    assert decoded(early.failed(BROKEN))[-1]["type"] in (
        "response.failed",
        "error",
    )
    assert late.failed(BROKEN) == early.failed(BROKEN) == b""
    assert late.feed(stream(SAID)) == b""


def test_a_text_has_all_events_of_the_messages_api() -> None:
    """From `message_start` to `message_stop`, with the usage in `message_delta`."""
    events = as_message(SAID)

    assert types(events) == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert events[0]["message"]["id"] == "msg-1"
    assert events[-2]["delta"] == {"stop_reason": "end_turn", "stop_sequence": None}
    assert events[-2]["usage"]["input_tokens"] == 20
    assert events[-2]["usage"]["output_tokens"] == 9


def test_thinking_text_and_calls_are_blocks_of_a_message() -> None:
    """One block is open at a time, and a call grows by parts of its JSON."""
    events = as_message(EVERYTHING)

    begun = [e["content_block"]["type"] for e in events if e["type"] == "content_block_start"]
    assert begun == ["thinking", "text", "tool_use", "tool_use"]
    assert events[-2]["delta"]["stop_reason"] == "tool_use"
    grown = [e["delta"].get("partial_json") for e in events if e["type"] == "content_block_delta"]
    assert [piece for piece in grown if piece] == ['{"at":', ' "sky"}', '{"at": "sea"}']


@pytest.mark.parametrize(
    "thinking", [{"type": "disabled"}, {"type": "adaptive", "display": "omitted"}]
)
def test_thinking_that_the_client_does_not_want_is_left_out(thinking: Json) -> None:
    """The first block is then the text."""
    events = as_message(EVERYTHING, thinking=thinking)

    assert events[1]["content_block"]["type"] == "text"
    assert events[1]["index"] == 0


@pytest.mark.parametrize(
    ("end", "stop", "reason"),
    [
        ("stop", None, "end_turn"),
        ("stop", "END", "stop_sequence"),
        ("stop", "the component's own", "end_turn"),
        ("length", None, "max_tokens"),
        ("content_filter", None, "refusal"),
    ],
)
def test_a_message_says_why_it_stopped(end: str, stop: str | None, reason: str) -> None:
    """A text that ended it is named if it is the client's."""
    chunks = [chunk({"content": "x"}), chunk({}, end, stop_reason=stop)]
    delta = as_message(chunks, stop_sequences=["END"])[-2]["delta"]

    named = "END" if reason == "stop_sequence" else None
    assert delta == {"stop_reason": reason, "stop_sequence": named}


def test_tokens_from_a_cache_are_counted_as_each_api_counts() -> None:
    """They are a part of OpenAI's input tokens, and apart from Anthropic's."""
    usage = USAGE | {"prompt_tokens_details": {"cached_tokens": 16}}
    chunks = [*SAID[:-1], END | {"usage": usage}]
    response, message = as_response(chunks)[-1]["response"], as_message(chunks)[-2]

    assert response["usage"]["input_tokens"] == 20
    assert response["usage"]["input_tokens_details"]["cached_tokens"] == 16
    assert message["usage"]["input_tokens"] == 4
    assert message["usage"]["cache_read_input_tokens"] == 16


@pytest.mark.parametrize(
    "chunks", [SAID, EVERYTHING, [chunk({"refusal": "No."}), chunk({}, "stop"), END]]
)
def test_a_whole_answer_is_what_its_stream_amounts_to(chunks: list[Json]) -> None:
    """The document has the same output, end and usage."""
    body = json.dumps(whole(chunks)).encode()
    response = json.loads(RESPONSES.translation({}, "resp-1", 1_790_000_000.5).whole(body))
    message = json.loads(MESSAGES.translation({}, "msg-1", 1.0).whole(body))

    Response.model_validate(response)
    Message.model_validate(message)
    assert response == as_response(chunks)[-1]["response"]
    delta = as_message(chunks)[-2]
    assert message | delta["delta"] | {"usage": delta["usage"]} == message


def test_arguments_that_are_no_json_stay_a_text() -> None:
    """A call that was cut has what came of it."""
    chunks = [chunk(call(0, '{"at": "s', "look")), chunk({}, "length"), END]
    message = json.loads(
        MESSAGES.translation({}, "msg-1", 1.0).whole(json.dumps(whole(chunks)).encode())
    )

    assert message["content"][0]["input"] == {"arguments": '{"at": "s'}


def test_calls_that_are_mixed_cannot_be_told() -> None:
    """A call that goes on after another one began would lose its arguments in silence.

    What came before is told first.
    """
    mixed = [chunk(call(0, "{", "f")), chunk(call(1, "{}", "f")), chunk(call(0, "}"))]

    for client_api in (RESPONSES, MESSAGES):
        translation = client_api.translation({}, "x-1", 1.0)
        told = decoded(translation.feed(stream(mixed)))
        assert "start" in told[0]["type"] or told[0]["type"] == "response.created"
        assert told[-1]["type"] not in ("message_stop", "response.completed")
        with pytest.raises(Untranslatable, match="mixed"):
            translation.feed(b"")


@pytest.mark.parametrize("body", [b"", b"no", b"[]", b"7"])
def test_what_is_no_answer_cannot_be_told(body: bytes) -> None:
    """A body that is no JSON object."""
    for client_api in (RESPONSES, MESSAGES):
        with pytest.raises(Untranslatable, match="JSON"):
            client_api.translation({}, "x-1", 1.0).whole(body)


@settings(deadline=None)
@given(answers(), st.data())
def test_any_cut_of_a_stream_gives_the_same_events(chunks: list[Json], data: st.DataObject) -> None:
    """An event, a line or a character may come in two pieces."""
    body = stream(chunks)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=5)))
    ends = zip([0, *cuts], [*cuts, len(body)], strict=True)
    pieces = [body[start:end] for start, end in ends]

    for client_api in (RESPONSES, MESSAGES):
        assert translated(client_api, pieces) == translated(client_api, [body])


@settings(deadline=None)
@given(answers())
def test_every_answer_has_valid_events_and_loses_nothing(chunks: list[Json]) -> None:
    """Whatever a component says comes in the order of its blocks, and whole at the end."""
    said = list(_said(chunks))
    output = as_response(chunks)[-1]["response"]["output"]
    events = as_message(chunks)

    shown = [_shown(item) for item in output]
    assert shown == [text for _, text in said]
    blocks: list[str] = []
    for event in events:
        if event["type"] == "content_block_start":
            assert event["index"] == len(blocks)
            blocks.append("")
        elif event["type"] == "content_block_delta":
            assert event["index"] == len(blocks) - 1
            blocks[-1] += next(text for name, text in event["delta"].items() if name != "type")
    assert blocks == shown


def _said(chunks: list[Json]) -> Iterator[tuple[str, str]]:
    """The kinds and texts of the blocks of an answer, neighbours of a kind joined."""
    kind, text = "", ""
    for choice in (one["choices"][0] for one in chunks if one["choices"]):
        for name, value in choice["delta"].items():
            key, more = name, value
            if name == "tool_calls":
                key, more = f"call {value[0]['index']}", value[0]["function"]["arguments"]
            elif name == "role" or not value:
                continue
            if key != kind:
                if kind:
                    yield kind, text
                kind, text = key, ""
            text += more
    if kind:
        yield kind, text


def _shown(item: Json) -> str:
    """The text of an output item."""
    if item["type"] == "function_call":
        return str(item["arguments"])
    [part] = item["content"]
    return str(part["refusal"] if part["type"] == "refusal" else part["text"])
