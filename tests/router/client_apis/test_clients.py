"""The other APIs through the router, by the clients that their makers publish."""

import json
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.journal.journals import IDENTITY, journal
from tests.router.client_apis.chat_member import (
    EVERYTHING,
    SAID,
    Member,
    answering,
    chunk,
    stream,
)
from tests.support import CLIENT_KEY, HELLO, blend, eventually, remote_blend, rig, serving

LOOK: Any = {"type": "function", "name": "look", "parameters": {"type": "object"}, "strict": False}
LOOKS: Any = {"name": "look", "input_schema": {"type": "object"}}
INPUT: Any = {"model": "blend", "input": "Hi"}
ASK: Any = {"model": "blend", "max_tokens": 50, "messages": HELLO}


class Sky(BaseModel):
    """The form of an answer."""

    colour: str


BLUE = [chunk({"content": '{"colour": '}), chunk({"content": '"blue"}'}), chunk({}, "stop")]


def openai_client(url: str) -> openai.AsyncOpenAI:
    """OpenAI's client of the router."""
    return openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=CLIENT_KEY, max_retries=0)


def anthropic_client(url: str, key: str = CLIENT_KEY) -> anthropic.AsyncAnthropic:
    """Anthropic's client of the router."""
    return anthropic.AsyncAnthropic(base_url=url, auth_token=key, max_retries=0)


async def test_openais_client_gets_a_response() -> None:
    """Text, usage and the id that the router has recorded."""
    async with answering(SAID) as member, openai_client(member.rig.url) as client:
        response = await client.responses.create(model="blend", input="Hi")

        assert response.output_text == "Hello"
        assert response.usage is not None
        assert response.usage.total_tokens == 29
        await eventually(lambda: len(member.rig.records) == 1)
        assert member.rig.records[0].response_id == response.id
        assert member.rig.records[0].completion_tokens == 9
        assert member.asked[0]["messages"] == [{"role": "user", "content": "Hi"}]


async def test_openais_client_streams_a_response() -> None:
    """The client assembles the same items as the router."""
    async with answering(EVERYTHING) as member, openai_client(member.rig.url) as client:
        async with client.responses.stream(model="blend", input="Hi", tools=[LOOK]) as events:
            kinds = [event.type async for event in events]
            response = await events.get_final_response()

        assert kinds[0] == "response.created"
        assert kinds[-1] == "response.completed"
        calls = [item for item in response.output if item.type == "function_call"]
        assert [json.loads(call.arguments)["at"] for call in calls] == ["sky", "sea"]
        assert response.output_text == "I look."


@pytest.mark.parametrize("is_stream", [False, True])
async def test_openais_client_parses_a_form(is_stream: bool) -> None:
    """The schema reaches the component in chat's words."""
    async with answering(BLUE) as member, openai_client(member.rig.url) as client:
        if is_stream:
            async with client.responses.stream(model="blend", input="?", text_format=Sky) as events:
                parsed = await events.get_final_response()
        else:
            parsed = await client.responses.parse(model="blend", input="?", text_format=Sky)

        assert parsed.output_parsed == Sky(colour="blue")
        form = member.asked[0]["response_format"]["json_schema"]
        assert (form["name"], form["strict"]) == ("Sky", True)


async def test_the_output_of_openais_client_is_its_next_input() -> None:
    """Calls and reasoning go back as they came, with the results."""
    async with answering(EVERYTHING) as member, openai_client(member.rig.url) as client:
        first = await client.responses.create(model="blend", input="Hi", tools=[LOOK])
        results: Any = [
            {"type": "function_call_output", "call_id": item.call_id, "output": "blue"}
            for item in first.output
            if item.type == "function_call"
        ]
        hello: Any = HELLO
        said: Any = [item.model_dump(exclude_none=True) for item in first.output]
        await client.responses.create(model="blend", input=[*hello, *said, *results], tools=[LOOK])

        roles = [message["role"] for message in member.asked[1]["messages"]]
        assert roles == ["user", "assistant", "tool", "tool"]
        assert len(member.asked[1]["messages"][1]["tool_calls"]) == 2


async def test_anthropics_client_gets_a_message() -> None:
    """Text, usage and the id that the router has recorded."""
    async with answering(SAID) as member, anthropic_client(member.rig.url) as client:
        message = await client.messages.create(**ASK, system="Be brief.", metadata={"user_id": "u"})

        assert [block.type for block in message.content] == ["text"]
        assert message.stop_reason == "end_turn"
        assert message.usage.output_tokens == 9
        await eventually(lambda: len(member.rig.records) == 1)
        assert member.rig.records[0].response_id == message.id
        assert "metadata" not in member.asked[0]


async def test_anthropics_client_streams_a_message() -> None:
    """The client assembles blocks, calls and usage, and gives them back with the results."""
    async with answering(EVERYTHING) as member, anthropic_client(member.rig.url) as client:
        async with client.messages.stream(**ASK, tools=[LOOKS]) as events:
            kinds = [event.type async for event in events]
            message = await events.get_final_message()

        assert (kinds[0], kinds[-1]) == ("message_start", "message_stop")
        calls = [block for block in message.content if block.type == "tool_use"]
        assert [call.input for call in calls] == [{"at": "sky"}, {"at": "sea"}]
        assert message.stop_reason == "tool_use"
        assert (message.usage.input_tokens, message.usage.output_tokens) == (20, 9)

        results: Any = [
            {"type": "tool_result", "tool_use_id": call.id, "content": "blue"} for call in calls
        ]
        history: Any = [
            *HELLO,
            {"role": "assistant", "content": message.content},
            {"role": "user", "content": results},
        ]
        await client.messages.create(**ASK | {"messages": history}, tools=[LOOKS])
        roles = [m["role"] for m in member.asked[1]["messages"]]
        assert roles == ["user", "assistant", "tool", "tool"]


async def test_anthropics_client_parses_a_form() -> None:
    """The schema reaches the component in chat's words."""
    async with answering(BLUE) as member, anthropic_client(member.rig.url) as client:
        parsed = await client.messages.parse(**ASK, output_format=Sky)

        assert parsed.parsed_output == Sky(colour="blue")
        schema = member.asked[0]["response_format"]["json_schema"]["schema"]
        assert schema["required"] == ["colour"]


async def test_anthropics_client_knows_the_errors() -> None:
    """A wrong key, an unknown model and a wrong field are the client's own exceptions."""
    async with answering(SAID) as member:
        url = member.rig.url
        async with anthropic_client(url) as client, anthropic_client(url, "no") as stranger:
            with pytest.raises(anthropic.AuthenticationError) as no_key:
                await stranger.messages.create(**ASK)
            with pytest.raises(anthropic.NotFoundError) as no_model:
                await client.messages.create(**ASK | {"model": "none"})
            with pytest.raises(anthropic.BadRequestError, match="'top_p' is 7"):
                await client.messages.create(**ASK, extra_body={"top_p": 7})

    for caught, kind in ((no_key, "authentication_error"), (no_model, "not_found_error")):
        body: Any = caught.value.body
        assert (body["type"], body["error"]["type"]) == ("error", kind)


async def broken_off(member: Member, path: str, **fields: Any) -> list[Any]:
    """The events of a stream that its component does not complete."""
    body = {"model": "blend", "stream": True, **fields}
    response = await member.rig.client.post(path, json=body)
    assert response.status_code == 200
    return [json.loads(line[6:]) for line in response.text.splitlines() if line[:6] == "data: "]


async def test_a_stream_that_breaks_off_ends_in_each_apis_words() -> None:
    """The record says that it failed, and the last event says so to the client."""
    cut = stream(SAID[:2]).removesuffix(b"data: [DONE]\n\n")
    async with answering(SAID, cut) as member:
        responses = await broken_off(member, "/v1/responses", input="Hi")
        messages = await broken_off(member, "/v1/messages", messages=HELLO)
        await eventually(lambda: len(member.rig.records) == 2)

        assert responses[-1]["type"] == "response.failed"
        assert "without completing" in responses[-1]["response"]["error"]["message"]
        assert messages[-1]["type"] == "error"
        assert messages[-1]["error"]["type"] == "api_error"
        assert messages[-1]["request_id"] == messages[0]["message"]["id"]
        assert {record.state for record in member.rig.records} == {"failed_after_first_byte"}


async def test_mixed_calls_end_a_stream_with_an_error() -> None:
    """No API has words for them, and nothing of them is lost in silence."""
    call = {"index": 0, "id": "c", "function": {"name": "f", "arguments": "{"}}
    deltas: list[Any] = [{"tool_calls": [call]}, {"content": "x"}, {"tool_calls": [call]}]
    async with answering([], stream([chunk(delta) for delta in deltas])) as member:
        events = await broken_off(member, "/v1/messages", messages=HELLO)

        assert events[0]["type"] == "message_start"
        assert "mixed the arguments" in events[-1]["error"]["message"]
        await eventually(lambda: len(member.rig.records) == 1)
        assert member.rig.records[0].state == "failed_after_first_byte"


async def test_feedback_finds_a_response_of_every_api(tmp_path: Path) -> None:
    """By the id in its body; the record keeps the component's words, not the translated ones."""
    with journal(tmp_path, keep_content=True) as kept:
        async with answering(SAID, journal=kept) as member:
            r = member.rig
            response = (await r.client.post("/v1/responses", json=INPUT)).json()
            message = (await r.client.post("/v1/messages", json=ASK)).json()
            for one in (response, message):
                assert IDENTITY.started_at(one["id"], "default") is not None
                given = {"response_id": one["id"], "thumb": "up"}
                found = await r.client.post("/v1/feedback", json=given)
                assert found.status_code in (200, 202)
            await eventually(lambda: len(r.records) == 2)

            assert [record.content for record in r.records] == [
                {"messages": [{"role": "user", "content": "Hi"}], "response": ["Hello"]},
                {"messages": HELLO, "response": ["Hello"]},
            ]


async def test_tokens_are_counted_without_an_answer() -> None:
    """Where no component can count, by the router's estimate, which grows with the tools."""
    async with answering(SAID) as member, anthropic_client(member.rig.url) as client:
        asked: Any = {"model": "blend", "messages": HELLO}
        plain = await client.messages.count_tokens(**asked)
        with_tools = await client.messages.count_tokens(**asked, tools=[LOOKS])

        assert 0 < plain.input_tokens < with_tools.input_tokens
        assert member.asked == []
        assert member.rig.records == []


async def test_a_hidden_component_stays_hidden() -> None:
    """Every answer has the blend's name."""
    async with rig(blend("a", api={"reveal_component": False})) as r:
        response = await r.client.post("/v1/responses", json=INPUT)
        message = await r.client.post("/v1/messages", json=ASK | {"stream": True})

        assert response.json()["model"] == "blend"
        assert '"model":"blend"' in message.text
        assert "x-blended-component" not in response.headers


async def test_the_same_conversation_is_found_from_every_api() -> None:
    """System prompt and first message are equal, so the conversation is."""
    async with rig(blend("a")) as r:
        system = [{"role": "system", "content": "Be brief."}]
        await r.chat(messages=[*system, *HELLO])
        text = HELLO[0]["content"]
        asked = {"model": "blend", "input": text, "instructions": "Be brief."}
        await r.client.post("/v1/responses", json=asked)
        await r.client.post("/v1/messages", json=ASK | {"system": "Be brief."})
        await eventually(lambda: len(r.records) == 3)

        assert len({record.conversation for record in r.records}) == 1


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/messages"])
async def test_an_answer_that_is_no_chat_is_a_failure(path: str) -> None:
    """The client gets 502 in the shape of its API, and the record says that it failed."""

    async def elsewhere(_: Request) -> Response:
        return Response("Welcome!", media_type="text/plain")

    app = Starlette(routes=[Route("/v1/chat/completions", elsewhere, methods=["POST"])])
    async with serving(app) as url, rig(remote_blend(f"{url}/v1")) as r:
        response = await r.client.post(path, json=ASK if "messages" in path else INPUT)

        error = response.json()["error"]
        assert response.status_code == 502
        assert error["type"] == ("api_error" if "messages" in path else "server_error")
        assert "component failed" in error["message"]
        await eventually(lambda: len(r.records) == 1)
        assert r.records[0].state == "failed_before_first_byte"
