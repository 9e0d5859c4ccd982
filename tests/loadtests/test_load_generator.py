"""The load generator against the simulated upstream, over real sockets."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import httpx
import pytest

from blended.launch import free_ports
from loadtests.harness import simulated_upstream
from loadtests.harness.load_generator import Job, run
from loadtests.harness.targets import Place, bare, chats
from loadtests.harness.timed_exchange import Exchange


@pytest.fixture
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    """A simulated upstream with three models."""
    ports = [free_ports.port() for _ in "abc"]
    urls = {model: f"http://127.0.0.1:{port}" for model, port in zip("abc", ports, strict=True)}
    server = asyncio.create_task(simulated_upstream.serve(ports))
    async with httpx.AsyncClient() as client:
        while True:
            with suppress(httpx.ConnectError):
                await client.get(f"{urls['c']}/v1/models")
                break
    yield Place(tmp_path_factory.mktemp("place"), urls)
    server.cancel()
    with suppress(asyncio.CancelledError):
        await server


def job(place: Place, kind: str, path: str = "/v1/chat/completions", clients: int = 4) -> Job:
    """A short load on the upstream's first model."""
    return Job(
        host="127.0.0.1",
        port=int(place.urls["a"].rsplit(":", 1)[1]),
        path=path,
        headers={},
        body=bare(place).body(kind),
        clients=clients,
        seconds=1.0,
        stagger_s=0.0,
        token=simulated_upstream.TOKEN,
        min_tokens=0 if kind == "unary" else simulated_upstream.TOKENS,
    )


@pytest.mark.parametrize("kind", ["paced", "burst"])
async def test_streams_are_counted_token_by_token(place: Place, kind: str) -> None:
    """Every stream has its 64 tokens and its end."""
    sample = await run(job(place, kind))

    assert sample.responses >= 4
    assert sample.failures == 0
    assert sample.ttft_ms is not None
    assert sample.itl_ms is not None
    assert sample.per_s > 0


async def test_a_paced_stream_keeps_its_pace(place: Place) -> None:
    """64 tokens at 10 ms each take at least 630 ms, however fast the machine is."""
    sample = await run(job(place, "paced"))

    assert sample.total_ms is not None
    assert sample.total_ms["p50"] >= 629


async def test_an_answer_that_is_no_stream_has_no_token_times(place: Place) -> None:
    """Only its total is measured."""
    sample = await run(job(place, "unary"))

    assert sample.responses >= 4
    assert sample.total_ms is not None
    assert sample.ttft_ms is None
    assert sample.itl_ms is None


async def test_too_few_tokens_are_a_failure(place: Place) -> None:
    """A gateway that answers 200 and loses the stream is not fast."""
    whole = job(place, "unary")
    sample = await run(Job(**vars(whole) | {"min_tokens": 64}))

    assert sample.responses == 0
    assert sample.failures >= 4
    assert sample.failure.startswith("stream without [DONE]")


async def test_an_address_where_nobody_listens_is_a_failure(place: Place) -> None:
    """The load ends with a count of failures, not with an error."""
    sample = await run(Job(**vars(job(place, "unary")) | {"port": free_ports.port()}))

    assert sample.responses == 0
    assert sample.failures >= 4


async def test_the_upstream_counts_the_chats_of_each_model(place: Place) -> None:
    """This is how the shares of a gateway are known."""
    sample = await run(job(place, "burst"))

    counts = await asyncio.to_thread(chats, place)
    assert counts == {"a": sample.responses, "b": 0, "c": 0}


@pytest.mark.parametrize("cut", range(1, 24))
async def test_a_token_that_is_cut_counts_once(cut: int) -> None:
    """Pieces of the body end anywhere."""
    body = b'{"content":"~token"}~token'
    exchange = Exchange(b"~token", asyncio.get_running_loop().create_future(), 0.0)

    exchange.feed(body[:cut], 1.0)
    exchange.feed(body[cut:], 2.0)

    assert len(exchange.tokens_s) == 2
