"""Real engines whose clients leave, whose router dies, and one of which dies under load."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp
import pytest
import yaml

from blended import loading
from blended.config import BlendConfig
from tests.live.conftest import Live, running
from tests.live.load import load, summary
from tests.support import eventually

pytestmark = pytest.mark.ray

STREAMS, LONG_TOKENS = 24, 3000
# Ray's metrics are pushed every few seconds, on a machine that may be busy.
PATIENCE_S = 120
NO_TIMEOUT = aiohttp.ClientTimeout(total=None)
HELLO = [{"role": "user", "content": "Hello!"}]


def blend() -> BlendConfig:
    """The demo's ember with two replicas, and flint beside it; responses may be very long."""
    data = loading.load("demo").model_dump(mode="json")
    ember, flint, _ = data["components"]
    for component in (ember, flint):
        component["engine"]["max_model_len"] = 4096
        component["engine"]["env"]["VLLM_ALLOW_LONG_MAX_MODEL_LEN"] = "1"
        component["engine"]["args"]["kv_cache_memory_bytes"] = 2**28
        component["sampling"]["max_tokens"]["max"] = LONG_TOKENS
        component["timeouts"] |= {"first_byte_s": 20, "idle_s": 10}
    ember["replicas"] |= {"min": 2, "max": 2}
    data["router"]["replicas"] |= {"min": 2, "max": 2}
    return BlendConfig.model_validate(data | {"components": [ember, flint]})


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Three engines and two routers."""
    folder = tmp_path_factory.mktemp("engines")
    path = folder / "blend.yaml"
    path.write_text(yaml.safe_dump(blend().model_dump(mode="json")))
    with running(str(path), folder / "state") as live:
        yield live


@asynccontextmanager
async def long_streams(live: Live) -> AsyncIterator[list[aiohttp.ClientResponse]]:
    """Streams of flint that have begun and would go on for long, each on its own connection."""
    headers = {"Authorization": f"Bearer {live.api_key}"}
    body = {"model": "flint", "messages": HELLO, "stream": True}
    body |= {"min_tokens": LONG_TOKENS, "max_tokens": LONG_TOKENS}
    async with AsyncExitStack() as stack:
        session = aiohttp.ClientSession(live.url, headers=headers, timeout=NO_TIMEOUT)
        await stack.enter_async_context(session)
        asked = [session.post("/v1/chat/completions", json=body) for _ in range(STREAMS)]
        streams = await asyncio.gather(*map(stack.enter_async_context, asked))
        for stream in streams:
            assert await stream.content.readany(), await stream.text()
        yield streams


def generating(live: Live) -> float:
    """vLLM's gauge of running requests, over all engines."""
    return sum(live.metric("ray_vllm_num_requests_running", by="model_name").values())


def at_full_length(live: Live) -> float:
    """How many responses the engines have generated to their full length."""
    name = "ray_vllm_request_success_total"
    return live.metric(name, by="model_name", finished_reason="length").get("flint", 0.0)


async def test_a_client_that_leaves_ends_its_generation(live: Live) -> None:
    """The engine's gauge goes back to 0, and no response was generated to its end for nobody."""
    # The warm-up's response is counted once Ray has pushed its metrics.
    await eventually(lambda: at_full_length(live) > 0, PATIENCE_S)
    before = at_full_length(live)
    async with long_streams(live):
        await eventually(lambda: generating(live) > 0, PATIENCE_S)

    await eventually(lambda: generating(live) == 0, PATIENCE_S)
    assert at_full_length(live) == before


async def test_a_router_that_dies_ends_its_generations(live: Live) -> None:
    """Its streams break off and are not generated further; those of the other come whole."""
    before = at_full_length(live)
    async with long_streams(live) as streams:
        os.kill(live.pids("blended", "Router")[0], signal.SIGKILL)
        bodies = await asyncio.gather(*map(rest, streams))

    whole = [body for body in bodies if body is not None]
    assert 0 < len(whole) < STREAMS
    assert all(body.endswith(b"data: [DONE]\n\n") for body in whole)
    await eventually(lambda: generating(live) == 0, PATIENCE_S)
    await eventually(lambda: at_full_length(live) >= before + len(whole), PATIENCE_S)
    assert at_full_length(live) == before + len(whole)


async def rest(stream: aiohttp.ClientResponse) -> bytes | None:
    """What a stream still says; None when it breaks off."""
    try:
        return await stream.read()
    except aiohttp.ClientError:
        return None


async def test_an_engine_that_dies_costs_only_streams_that_had_begun(live: Live) -> None:
    """Under load: every unary request is answered, every stream ends with [DONE] or an error."""
    await eventually(lambda: len(live.pids("blended", "Router")) == 2, PATIENCE_S)
    bodies = [{"model": "demo", "messages": HELLO, "stream": s} for s in (False, True)]

    async def trouble() -> None:
        await asyncio.sleep(8)
        ember = await asyncio.to_thread(live.pids, "component-ember", "LLMServer:ember")
        os.kill(ember[0], signal.SIGKILL)

    _, results = await asyncio.gather(trouble(), load(live, 6, 40, bodies))

    print(json.dumps(summary(results)))
    failed = [r for r in results if r.end != "finished"]
    assert all(r.stream and r.end == "error_event" for r in failed), failed
    assert len(failed) < 0.05 * len(results)
