"""Real engines: clients leave, a router dies, and an engine dies under load."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp
import pytest

from loadtests.harness.fixed_rate import steady, summary
from tests.live.conftest import Live
from tests.live.engines.conftest import LONG_TOKENS
from tests.support import eventually

pytestmark = pytest.mark.ray

STREAMS = 24
# Ray pushes metrics every few seconds, and the machine may be busy.
PATIENCE_S = 120
NO_TIMEOUT = aiohttp.ClientTimeout(total=None)
HELLO = [{"role": "user", "content": "Hello!"}]


@asynccontextmanager
async def long_streams(live: Live) -> AsyncIterator[list[aiohttp.ClientResponse]]:
    """Long streams of flint that have begun, each on its own connection."""
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
    """The number of responses that the engines generated to their full length."""
    name = "ray_vllm_request_success_total"
    return live.metric(name, by="model_name", finished_reason="length").get("flint", 0.0)


async def test_a_client_that_leaves_ends_its_generation(live: Live) -> None:
    """The engine's gauge returns to 0, and no abandoned response was generated to its end."""
    # The warm-up's response is counted once Ray has pushed its metrics.
    await eventually(lambda: at_full_length(live) > 0, PATIENCE_S)
    before = at_full_length(live)
    async with long_streams(live):
        await eventually(lambda: generating(live) > 0, PATIENCE_S)

    await eventually(lambda: generating(live) == 0, PATIENCE_S)
    assert at_full_length(live) == before


async def test_a_router_that_dies_ends_its_generations(live: Live) -> None:
    """Its streams break off and their generation ends; the other router's streams come whole."""
    await eventually(lambda: at_full_length(live) > 0, PATIENCE_S)
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
    """The rest of a stream; None if it breaks off."""
    try:
        return await stream.read()
    except aiohttp.ClientError:
        return None


async def test_an_engine_that_dies_costs_only_streams_that_had_begun(live: Live) -> None:
    """Under load: every unary request is answered, every stream ends with [DONE] or an error."""
    await eventually(lambda: len(live.pids("blended", "Router")) == 2, PATIENCE_S)
    bodies = [{"model": "demo", "messages": HELLO, "stream": s} for s in (False, True)]

    ember = ("component-ember", "LLMServer:ember")
    before = await asyncio.to_thread(live.pids, *ember)
    async with steady(live, 6, bodies) as results:
        await eventually(lambda: len(results) > 40, PATIENCE_S)
        os.kill(before[0], signal.SIGKILL)
        await replaced(live, before[0], len(before))
        seen = len(results)
        await eventually(lambda: len(results) > seen + 40, PATIENCE_S)

    print(json.dumps(summary(results)))
    failed = [r for r in results if r.end != "finished"]
    assert all(r.stream and r.end == "error_event" for r in failed), failed
    assert len(failed) < 0.05 * len(results)


async def replaced(live: Live, killed: int, replicas: int) -> None:
    """Wait until as many replicas of ember run as before, and the killed one is gone."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            pids = await asyncio.to_thread(live.pids, "component-ember", "LLMServer:ember")
            if len(pids) == replicas and killed not in pids:
                return
            await asyncio.sleep(1)
