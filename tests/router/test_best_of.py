"""The drawn component gives several candidates, and the client gets the best of them alone."""

import hashlib
import json
import logging
import math
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from starlette.requests import Request

from blended.journal.store import Store
from tests.journal.journals import database, journal
from tests.router.best_of import choosing, quality, text_of
from tests.router.test_reading_ahead import exporter  # noqa: F401 - a fixture
from tests.support import HELLO, events, eventually, rig

# The mean of the largest of four standard normal numbers.
LARGEST_OF_4 = 1.0294


@pytest.mark.parametrize("stream", [False, True])
async def test_the_client_gets_the_best_candidate_and_no_other(stream: bool) -> None:
    """One choice, in the form that was asked for, with the usage of all candidates."""
    options: dict[str, Any] = {"stream_options": {"include_usage": True}} if stream else {}
    async with rig(choosing()) as r:
        response = await r.chat(stream=stream, **options)
        await eventually(lambda: len(r.records) == 1)

        [record], component = r.records, r.components["a"]
        assert r.reward is not None
        assert (component.finished, r.reward.answered, r.reward.scored) == (4, 1, 4)
    found = record.candidates
    assert found is not None
    assert found["k"] == len(found["scores"]) == 4
    assert (found["chosen_by"], found["reward_version"]) == ("reward", "simulated-1")
    assert quality(response, stream) == max(found["scores"]) == found["scores"][found["chosen"]]
    assert response.headers["x-blended-best-of"] == "4; chosen_by=reward"
    usage = events(response.content)[-2]["usage"] if stream else response.json()["usage"]
    words = len(text_of(response, stream).split())
    assert usage["completion_tokens"] - found["rejected_tokens"] == words
    assert usage["completion_tokens_details"] == {"rejected_tokens": found["rejected_tokens"]}
    assert record.completion_tokens == usage["completion_tokens"]
    assert (record.state, record.finish_reason) == ("finished", "stop")


async def test_a_stream_of_a_chosen_candidate_is_one_of_openai() -> None:
    """A role, pieces, a reason to finish; no usage that nobody asked for, and no time in between.

    The pieces come at once, so that the time between them would tell nothing.
    """
    async with rig(choosing(simulation={"tokens": 40})) as r:
        response = await r.chat(stream=True)
        await eventually(lambda: len(r.records) == 1)

        *chunks, done = events(response.content)
        assert done == "[DONE]"
        assert [c["object"] for c in chunks] == ["chat.completion.chunk"] * len(chunks)
        assert {c["id"] for c in chunks} == {response.headers["x-blended-response-id"]}
        assert {c["model"] for c in chunks} == {"blend"}
        deltas = [c["choices"][0]["delta"] for c in chunks]
        assert deltas[0] == {"role": "assistant", "content": ""}
        assert len(deltas) > 3
        assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
        assert r.records[0].itl_mean_s is None
        assert r.records[0].ttft_s is not None


async def test_one_response_is_one_draw() -> None:
    """All candidates are the drawn component's own, and the record has one propensity."""
    async with rig(choosing("a", "b", "c")) as r:
        for number in range(12):
            messages = [{"role": "user", "content": f"Hello {number}!"}]
            await r.chat(messages=messages)
        await eventually(lambda: len(r.records) == 12)

        for name, component in r.components.items():
            drawn = [record for record in r.records if record.component == name]
            assert component.finished == 4 * len(drawn)
            assert all(record.propensity == pytest.approx(1 / 3) for record in drawn)


@pytest.mark.parametrize("correlation", [0.3, 0.8])
async def test_the_mean_quality_rises_by_the_order_statistic(correlation: float) -> None:
    """Four candidates raise it by 1.03 standard deviations times the model's correlation.

    Correct code fails at four standard errors for one in 16,000 seeds; the seeds are fixed.
    """
    reward = {"kind": "simulated", "correlation": correlation, "ms": 0}
    async with rig(choosing(reward=reward)) as r:
        found = [quality(await r.chat()) for _ in range(300)]

    error = stdev(found) / math.sqrt(len(found))
    assert fmean(found) == pytest.approx(correlation * LARGEST_OF_4, abs=4 * error)


async def test_an_arm_has_its_own_number_of_candidates(tmp_path: Path) -> None:
    """Users of one arm get the best of four, those of the other a single candidate.

    Asked for by its own name, the component answers as its own settings say.
    """
    arms = [{"id": "one", "best_of": 1}, {"id": "four"}]
    times = {"start": "2020-01-01", "end": "2100-01-01"}
    experiment = {"name": "best", "control": "one", "arms": arms, **times}
    with journal(tmp_path) as kept:
        async with rig(choosing(experiments=[experiment]), kept) as r:
            for number in range(20):
                await r.chat(headers={"X-User-ID": f"user-{number}"})
                await r.chat("a", headers={"X-User-ID": f"user-{number}"})
            await eventually(lambda: len(r.records) == 40)

    found = {(x.model, x.arm, (x.candidates or {"k": 1})["k"]) for x in r.records}
    assert found == {("blend", "one", 1), ("blend", "four", 4), ("a", None, 4)}


BODIES: dict[str, dict[str, Any]] = {
    "/v1/responses": {"input": "Hello!"},
    "/v1/messages": {"messages": HELLO, "max_tokens": 50},
}


@pytest.mark.parametrize("path", list(BODIES))
@pytest.mark.parametrize("stream", [False, True])
async def test_clients_of_other_apis_get_the_best_candidate(path: str, stream: bool) -> None:
    """In the words of their API, streamed or not."""
    async with rig(choosing()) as r:
        body = {"model": "blend", "stream": stream, **BODIES[path]}
        response = await r.client.post(path, json=body)
        await eventually(lambda: len(r.records) == 1)

        assert response.status_code == 200
        assert response.headers["x-blended-best-of"] == "4; chosen_by=reward"
        found = r.records[0].candidates
    assert found is not None
    best = max(found["scores"])
    assert f"quality={best:+.6f}" in response.text
    assert response.text.count("quality=") >= 1
    for score in found["scores"]:
        assert (f"quality={score:+.6f}" in response.text) == (score == best)


ALONE: dict[str, dict[str, Any]] = {
    "n": {"n": 2},
    "logprobs": {"logprobs": True},
    "tools": {"tools": [{"type": "function", "function": {"name": "look"}}]},
    "temperature": {"temperature": 0},
}


@pytest.mark.parametrize("reason", list(ALONE))
async def test_what_candidates_cannot_give_has_one(reason: str) -> None:
    """The client gets what it asked for, and the header says why nobody chose."""
    async with rig(choosing()) as r:
        response = await r.chat(**ALONE[reason])
        await eventually(lambda: len(r.records) == 1)

        assert response.status_code == 200
        assert response.headers["x-blended-best-of"] == f"1; reason={reason}"
        assert r.records[0].candidates is None
        assert r.reward is not None
        assert r.reward.answered == 0


async def test_completions_have_one_candidate() -> None:
    """A prompt is no conversation that a reward model could read."""
    async with rig(choosing()) as r:
        response = await r.client.post("/v1/completions", json={"model": "blend", "prompt": "A"})

        assert response.headers["x-blended-best-of"] == "1; reason=completions"


@pytest.mark.parametrize("best_of", [None, 1])
async def test_a_single_candidate_is_asked_for_as_without_a_reward_model(best_of: Any) -> None:
    """The same bytes go to the component, and the client gets no word of candidates."""
    asked = dict[bool, list[dict[str, Any]]]()
    for has_reward in (False, True):
        more = {} if has_reward else {"reward": None}
        async with rig(choosing(best_of=best_of, **more)) as r:
            seen: list[dict[str, Any]] = []
            asked[has_reward] = seen
            simulated = r.components["a"]
            plain = simulated._respond

            async def kept(request: Any, kind: str, seen: Any = seen, plain: Any = plain) -> Any:
                seen.append(await request.json())
                return await plain(request, kind)

            simulated._respond = kept  # type: ignore[method-assign]
            for stream in (False, True):
                response = await r.chat(stream=stream, temperature=0.5)
                assert "x-blended-best-of" not in response.headers
            assert [record.candidates for record in r.records] == [None, None]
    assert asked[False] == asked[True]
    assert "n" not in asked[True][0]


async def test_other_candidates_appear_nowhere_but_in_kept_content(
    tmp_path: Path,
    exporter: InMemorySpanExporter,  # noqa: F811
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Not in the API, in traces or logs, nor in what is kept without texts."""
    caplog.set_level(logging.DEBUG)
    with journal(tmp_path, keep_content=True) as kept:
        async with rig(choosing(), kept) as r:
            answers = [await r.chat(stream=stream) for stream in (False, True)]
            await eventually(lambda: len(r.records) == 2)
            shown = [await r.client.get(f"/v1/records/{x.response_id}") for x in r.records]
        store = Store(database(tmp_path))
        last = r.records[1]
        await eventually(lambda: store.find(last.response_id, last.started_at) is not None)
        store.close()
    rejected = [text for record in r.records for text in (record.content or {})["rejected"]]
    assert len(rejected) == 6
    spans = [json.loads(span.to_json()) for span in exporter.get_finished_spans()]
    assert any(span["name"] == "score reward" for span in spans)
    logs = "\n".join(record.getMessage() for record in caplog.records)
    plain = [{k: v for k, v in vars(x).items() if k != "content"} for x in r.records]
    seen = [x.text for x in (*answers, *shown)] + [json.dumps(spans), logs, json.dumps(plain)]
    for text in rejected:
        word = text.split()[0]
        assert not any(word in other for other in seen)


async def test_the_next_turn_has_the_chosen_text_alone() -> None:
    """A history is what the client got; no candidate lives on in it."""
    async with rig(choosing()) as r:
        first = await r.chat()
        said = text_of(first, False)
        history = [*HELLO, {"role": "assistant", "content": said}, *HELLO]
        second = await r.chat(messages=history)
        await eventually(lambda: len(r.records) == 2)

        assert r.records[1].parent == r.records[0].lineage
        # The score is of the new response, and not of the one before.
        found = r.records[1].candidates
        assert found is not None
        assert quality(second) == max(found["scores"])


async def test_with_look_ahead_the_chosen_text_is_read() -> None:
    """The component of the next turn reads what the client got, as after any response."""
    readings, got = list[dict[str, Any]](), set[str]()
    async with rig(choosing("a", "b", selection={"look_ahead": True})) as r:
        for simulated in r.components.values():
            plain = simulated._respond

            async def kept(request: Request, kind: str, plain: Any = plain) -> Any:
                if (body := await request.json()).get("max_tokens") == 1:
                    readings.append(body)
                return await plain(request, kind)

            simulated._respond = kept  # type: ignore[method-assign]
        # The other component is drawn for none of 20 next turns by chance in one of a million.
        for number in range(20):
            messages = [{"role": "user", "content": f"Hello {number}!"}]
            got.add(text_of(await r.chat(messages=messages), False))
        await eventually(lambda: r.api.look_ahead.under_way == 0)

    assert readings
    assert all(body["messages"][-2]["content"] in got for body in readings)
    assert not any("n" in body for body in readings)


async def test_a_key_pays_for_all_candidates(tmp_path: Path) -> None:
    """Before they are generated as many as there may be, and afterwards as many as there were."""
    sha256 = hashlib.sha256(b"limited").hexdigest()
    keys = tmp_path / "keys.yaml"
    keys.write_text(f"keys: [{{name: app, sha256: {sha256}, tokens_per_minute: 1000}}]")
    limited = {"Authorization": "Bearer limited"}
    async with rig(choosing(api={"keys_file": str(keys)})) as r:
        answered = await r.chat(headers=limited, max_tokens=200)
        again = await r.chat(headers=limited, max_tokens=200)

        assert answered.status_code == again.status_code == 200
        before, after = (int(x.headers["x-ratelimit-remaining-tokens"]) for x in (answered, again))
        spent = answered.json()["usage"]["total_tokens"]
    # The limit grows back by 17 tokens a second.
    assert before - after > spent - 17
    assert 1000 - before >= 4 * 200
