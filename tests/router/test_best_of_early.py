"""Candidates that are judged after some tokens, of which the best alone goes on."""

from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse

from tests.router.best_of import choosing, text_of
from tests.support import events, eventually, rig

EARLY = {"k": 4, "early": 3}


@pytest.mark.parametrize("stream", [False, True])
async def test_the_best_alone_goes_on(stream: bool) -> None:
    """Four begin, one is generated to its end, and the client gets one whole text."""
    options: dict[str, Any] = {"stream_options": {"include_usage": True}} if stream else {}
    async with rig(choosing(best_of=EARLY, simulation={"tokens": 200})) as r:
        response = await r.chat(stream=stream, max_tokens=40, **options)
        await eventually(lambda: len(r.records) == 1)

        [record], finished = r.records, r.components["a"].finished
    assert finished == 5
    found = record.candidates
    assert found is not None
    assert (found["k"], found["rejected_tokens"]) == (4, 9)
    text = text_of(response, stream)
    assert text.split()[1:] == ["simulated"] * (len(text.split()) - 1)
    usage = events(response.content)[-2]["usage"] if stream else response.json()["usage"]
    assert usage["completion_tokens"] == 9 + len(text.split()) == record.completion_tokens
    assert usage["completion_tokens_details"] == {"rejected_tokens": 9}
    assert len(text.split()) <= 40


async def test_a_stream_begins_before_its_response_has_ended() -> None:
    """What was judged comes first, and the rest as it is generated."""
    slow = {"tokens": 100_000, "itl_ms": 20, "jitter": 0}
    async with rig(choosing(best_of=EARLY, simulation=slow)) as r:
        body = {"model": "blend", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
        async with r.client.stream("POST", "/v1/chat/completions", json=body) as response:
            chunks = response.aiter_bytes()
            first = await anext(chunks)
            assert b"quality=" in first
            assert r.components["a"].running == 1
        await eventually(lambda: r.components["a"].running == 0)
        await eventually(lambda: len(r.records) == 1)
        assert r.records[0].state == "cancelled"


async def test_a_limit_below_the_choice_ends_the_response() -> None:
    """A response that may not be longer needs no second part."""
    async with rig(choosing(best_of={"k": 4, "early": 8}, simulation={"tokens": 200})) as r:
        response = await r.chat(max_tokens=5)
        await eventually(lambda: len(r.records) == 1)

        assert len(text_of(response, False).split()) == 5
        assert r.components["a"].finished == 4
        assert r.records[0].finish_reason == "length"


ALONE: dict[str, dict[str, Any]] = {
    "continue_final_message": {
        "messages": [{"role": "assistant", "content": "I"}],
        "continue_final_message": True,
    },
    "response_format": {"response_format": {"type": "json_object"}},
}


@pytest.mark.parametrize("reason", list(ALONE))
async def test_what_has_no_two_parts_has_one_candidate(reason: str) -> None:
    """JSON of a grammar, and the rest of a message, are not cut in the middle."""
    async with rig(choosing(best_of=EARLY)) as r:
        response = await r.chat(**ALONE[reason])

        assert response.headers["x-blended-best-of"] == f"1; reason={reason}"


async def test_the_second_part_is_asked_for_with_what_was_chosen() -> None:
    """Its history ends with the chosen text, which it goes on with, within what is left."""
    asked = list[dict[str, Any]]()
    async with rig(choosing(best_of=EARLY, simulation={"tokens": 200})) as r:
        simulated = r.components["a"]
        plain = simulated._respond

        async def kept(request: Request, kind: str) -> Any:
            asked.append(await request.json())
            return await plain(request, kind)

        simulated._respond = kept  # type: ignore[method-assign]
        await r.chat(max_tokens=40, min_tokens=10, stream=True, seed=7)

    first, second = asked
    assert (first["n"], first["max_tokens"], first["min_tokens"]) == (4, 3, 3)
    assert "stream" not in first
    assert (second["max_tokens"], second["min_tokens"], second["stream"]) == (37, 7, True)
    assert second["continue_final_message"] is True
    assert second["add_generation_prompt"] is False
    assert second["messages"][-1]["content"].startswith("quality=")
    assert "n" not in second


async def test_a_component_that_does_not_go_on_is_replaced() -> None:
    """Nothing has reached the client: another component is drawn, with candidates of its own."""
    config = choosing("a", "b", best_of=EARLY, simulation={"tokens": 200})
    async with rig(config) as r:
        broken = r.components["a"]
        plain = broken._respond

        async def fails(request: Request, kind: str) -> Any:
            if (await request.json()).get("continue_final_message"):
                return JSONResponse({"error": {"message": "no"}}, 500)
            return await plain(request, kind)

        broken._respond = fails  # type: ignore[method-assign]
        for number in range(8):
            response = await r.chat(messages=[{"role": "user", "content": f"{number}"}])
            assert response.status_code == 200
        await eventually(lambda: len(r.records) == 8)

    redrawn = [record for record in r.records if record.failures]
    assert redrawn, "one in 256 conversations would never draw a"
    for record in r.records:
        assert record.component == "b"
        assert record.candidates is not None
