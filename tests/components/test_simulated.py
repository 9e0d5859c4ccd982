"""The simulated component: its distributions, its queue and its honesty."""

import asyncio
import random
import statistics

import httpx
import pytest

from blended.components.simulated import Simulated, mean_s, plan
from blended.config import BlendConfig, Simulation
from tests.support import eventually, rig


def test_means_are_the_configured_ones() -> None:
    """Over 4,000 plans lengths and factors of times are within four standard errors of theirs."""
    simulation = Simulation(tokens=20, jitter=0.3)
    rng = random.Random(7)
    plans = [plan(simulation, rng, None) for _ in range(4000)]

    for values, mean in (
        ([factor for p in plans for factor in p.lateness], 1),
        ([float(p.tokens) for p in plans], 20),
    ):
        error = statistics.stdev(values) / len(values) ** 0.5
        assert abs(statistics.fmean(values) - mean) < 4 * error, (
            f"mean {statistics.fmean(values)} instead of {mean}; the odds of this are 6e-5"
        )


def test_times_grow_with_the_load_and_the_prompt() -> None:
    """By so many milliseconds for each response that runs, and for each token of the prompt."""
    simulation = Simulation(
        ttft_ms=50,
        ttft_ms_per_running=2,
        ttft_ms_per_prompt_token=0.1,
        itl_ms=10,
        itl_ms_per_running=0.5,
    )

    assert mean_s(simulation, first=True, running=8, prompt=100) == pytest.approx(0.076)
    assert mean_s(simulation, first=False, running=8, prompt=100) == pytest.approx(0.014)
    assert mean_s(Simulation(), first=True, running=8, prompt=100) == pytest.approx(0.05)


def test_the_same_seed_gives_the_same_plans() -> None:
    """A rehearsal can be repeated."""
    simulation = Simulation()

    first, second = (
        [plan(simulation, rng, 50) for _ in range(5)]
        for rng in (random.Random(1), random.Random(1))
    )
    assert first == second


def test_a_token_limit_cuts_and_says_so() -> None:
    """A response at its limit ends with the reason `length`, a shorter one with `stop`."""
    rng = random.Random(1)

    cut = [plan(Simulation(tokens=100_000), rng, 3) for _ in range(20)]
    short = [plan(Simulation(tokens=1), rng, 3) for _ in range(20)]
    assert {(p.tokens, p.finish_reason) for p in cut} == {(3, "length")}
    assert {(p.tokens, p.finish_reason) for p in short} == {(1, "stop")}


async def test_beyond_its_concurrency_responses_wait() -> None:
    """Like an engine, it runs so many at once, and the others wait their turn."""
    simulation = {"ttft_ms": 600_000, "concurrency": 2}
    component = {"id": "a", "kind": "simulated", "simulation": simulation}
    config = BlendConfig.model_validate({"name": "blend", "components": [component]})
    async with rig(config) as r:
        requests = [asyncio.create_task(r.chat()) for _ in range(3)]
        await eventually(lambda: r.components["a"].waiting == 1)
        assert r.components["a"].running == 2

        requests[0].cancel()
        requests[1].cancel()
        await eventually(lambda: r.components["a"].cancelled == 2)
        await eventually(lambda: r.components["a"].running == 1)
        requests[2].cancel()


async def test_responses_share_a_replica() -> None:
    """Four at once take longer than one alone, by what each of them adds to the time of a token."""
    simulation = {"ttft_ms": 0, "itl_ms": 0, "itl_ms_per_running": 20, "jitter": 0, "tokens": 100}
    component = {"id": "a", "kind": "simulated", "simulation": simulation}
    config = BlendConfig.model_validate({"name": "blend", "components": [component]})
    clock = asyncio.get_running_loop().time
    async with rig(config) as r:
        await r.chat(max_tokens=1)
        began = clock()
        await r.chat(max_tokens=11)
        alone, began = clock() - began, clock()
        await asyncio.gather(*(r.chat(max_tokens=11) for _ in range(4)))
        together = clock() - began

    # 0.2 s and 0.8 s, of which the shared machine may add to both.
    assert together > 2 * alone


@pytest.mark.parametrize("key", [None, "Bearer wrong", "Bearer internal"])
async def test_it_answers_only_to_the_internal_key(key: str | None) -> None:
    """No path answers without the key; with it, the model entry says that it is simulated."""
    app = Simulated("a", Simulation(), "internal", replica="a#1").application()
    transport = httpx.ASGITransport(app=app)
    headers = {} if key is None else {"Authorization": key}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://a", headers=headers
    ) as client:
        responses = [await client.get(path) for path in ("/v1/models", "/health", "/nowhere")]

    if key == "Bearer internal":
        assert [response.status_code for response in responses] == [200, 200, 404]
        assert responses[0].json()["data"][0]["simulated"] is True
        assert responses[0].headers["x-blended-replica"] == "a#1"
    else:
        assert {response.status_code for response in responses} == {401}


async def test_a_document_has_as_many_choices_as_were_asked_for() -> None:
    """Each is generated in a place of its own, and usage counts all of them."""
    simulation = {"ttft_ms": 0, "itl_ms": 0, "tokens": 6, "quality": True}
    component = {"id": "a", "kind": "simulated", "simulation": simulation}
    config = BlendConfig.model_validate({"name": "blend", "components": [component]})
    async with rig(config) as r:
        document = (await r.chat(n=3)).json()

        assert r.finished() == 3
    texts = [choice["message"]["content"] for choice in document["choices"]]
    assert [choice["index"] for choice in document["choices"]] == [0, 1, 2]
    assert len(set(texts)) == 3
    assert document["usage"]["completion_tokens"] == sum(len(text.split()) for text in texts)
