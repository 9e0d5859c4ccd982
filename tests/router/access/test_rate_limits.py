"""Requests and tokens per minute, in memory and on a real Redis."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

import pytest

from blended.router.access.keys import Key
from blended.router.access.rate_limits import Charge, Limiter, RateLimited
from blended.router.shared_store import SharedStore
from loadtests.harness.redis_server import RedisServer, redis_server

NAMES = (f"key-{n}" for n in count())
PATIENT_S = 30.0


class Clock:
    """Seconds, advanced by the test."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    """One Redis for the tests of this module, which use keys of their own."""
    with redis_server() as server:
        yield server


@pytest.fixture(params=["memory", "redis"])
def store(request: pytest.FixtureRequest) -> str:
    """The address of a store of each kind."""
    if request.param == "memory":
        return "memory://"
    url: str = request.getfixturevalue("server").url
    return url


@asynccontextmanager
async def limiter(url: str, clock: Clock | None = None) -> AsyncIterator[Limiter]:
    """A limiter with a long wait for its store, because the machine may be slow."""
    time = clock or Clock()
    store = SharedStore(url, PATIENT_S, time)
    try:
        yield Limiter(store, time)
    finally:
        await store.close()


def limited(requests: int | None = None, tokens: int | None = None) -> Key:
    return Key(next(NAMES), requests, tokens)


async def admitted(limiter: Limiter, key: Key) -> bool:
    try:
        await limiter.admit(key)
    except RateLimited:
        return False
    return True


async def within_a_minute(attempt: Callable[[], Awaitable[None]]) -> None:
    """Repeat an attempt that crosses a minute, where windows in memory begin to fade."""
    while True:
        minute = time.time() // 60
        try:
            await attempt()
        except (AssertionError, pytest.fail.Exception):
            if time.time() // 60 == minute:
                raise
        else:
            return


async def test_a_key_without_limits_costs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """The store, which does not exist, is never called."""
    async with limiter("redis://127.0.0.1:9") as limits:
        allowance = await limits.admit(Key("free"))
        charge = await limits.charge(Key("free"), 1000)
        await limits.settle(charge, 1)

    assert (allowance.headers, charge.headers) == ({}, {})
    assert caplog.records == []


async def test_requests_of_a_minute_run_out(store: str) -> None:
    """The next request gets the time to wait, in OpenAI's words and headers."""

    async def attempt() -> None:
        key = limited(requests=3)
        async with limiter(store) as limits:
            remaining = [
                (await limits.admit(key)).headers["x-ratelimit-remaining-requests"]
                for _ in range(3)
            ]
            with pytest.raises(RateLimited) as caught:
                await limits.admit(key)

        error = caught.value
        assert remaining == ["2", "1", "0"]
        assert (error.status, error.code) == (429, "rate_limit_exceeded")
        assert error.retry_after_s is not None
        assert 1 <= error.retry_after_s <= 60
        assert f"'{key.name}' has used its 3 requests per minute" in error.message
        assert error.headers["x-ratelimit-limit-requests"] == "3"
        assert error.headers["x-ratelimit-remaining-requests"] == "0"
        assert set(error.headers) == {
            f"x-ratelimit-{what}-requests" for what in ("limit", "remaining", "reset")
        }

    await within_a_minute(attempt)


def remaining(charge: Charge) -> int:
    """The tokens that a key has left, by the headers of a charge."""
    return int(charge.headers["x-ratelimit-remaining-tokens"])


async def test_tokens_are_charged_before_they_are_spent(store: str) -> None:
    """The most a response may have is charged; the unused part is given back at its end."""

    async def attempt() -> None:
        key = limited(tokens=1000)
        async with limiter(store) as limits:
            one = await limits.charge(key, 600)
            other = await limits.charge(key, 300)
            await limits.settle(one, 20)
            after = await limits.charge(key, 1)
            await limits.settle(other, 350)
            last = await limits.charge(key, 1)

        assert [remaining(charge) for charge in (one, other)] == [400, 100]
        assert remaining(after) == 1000 - 20 - 300 - 1
        assert remaining(last) == 1000 - 20 - 350 - 2

    await within_a_minute(attempt)


async def test_a_response_may_cost_more_than_remains(store: str) -> None:
    """All of it counts, and the next request waits until the count is below the limit."""

    async def attempt() -> None:
        key = limited(tokens=1000)
        async with limiter(store) as limits:
            await limits.charge(key, 999)
            await limits.settle(await limits.charge(key, 1), 2001)
            with pytest.raises(RateLimited, match="used its 1000 tokens per minute") as caught:
                await limits.charge(key, 1)

        assert caught.value.headers["x-ratelimit-remaining-tokens"] == "0"
        # The end of the window, and then two thirds of a minute until 3000 have faded to 1000.
        assert caught.value.retry_after_s is not None
        assert 40 < caught.value.retry_after_s <= 100

    await within_a_minute(attempt)


async def test_a_refused_charge_costs_nothing(store: str) -> None:
    """This holds however often a client without tokens asks."""

    async def attempt() -> None:
        key = limited(tokens=100)
        async with limiter(store) as limits:
            charge = await limits.charge(key, 100)
            for _ in range(5):
                with pytest.raises(RateLimited):
                    await limits.charge(key, 1000)
            await limits.settle(charge, 10)
            after = await limits.charge(key, 1)

        assert remaining(after) == 89

    await within_a_minute(attempt)


async def test_requests_at_once_are_charged_one_after_the_other(store: str) -> None:
    """Of twenty requests for half of the limit, two pass on two routers with a shared store."""

    async def attempt() -> None:
        key = limited(tokens=1000)

        async def charged(limits: Limiter) -> bool:
            try:
                await limits.charge(key, 500)
            except RateLimited:
                return False
            return True

        async with limiter(store) as one, limiter(store) as other:
            routers = (one,) if store == "memory://" else (one, other)
            outcomes = await asyncio.gather(*(charged(x) for _ in range(10) for x in routers))

        assert sum(outcomes) == 2

    await within_a_minute(attempt)


async def test_a_late_correction_leaves_what_counts_now(store: str) -> None:
    """A charge that has faded by itself is not given back a second time."""

    async def attempt() -> None:
        key, clock = limited(tokens=1000), Clock()
        async with limiter(store, clock) as limits:
            old = await limits.charge(key, 900)
            clock.now += 180
            await limits.settle(old, 0)
            after = await limits.charge(key, 1)

        assert remaining(after) == 99

    await within_a_minute(attempt)


async def test_a_correction_never_makes_a_count_negative(store: str) -> None:
    """At most the current count is given back; a negative one would grant more than the limit."""

    async def attempt() -> None:
        key = limited(tokens=1000)
        async with limiter(store) as limits:
            charge = await limits.charge(key, 100)
            for _ in range(3):
                await limits.settle(charge, 0)
            after = await limits.charge(key, 1)

        assert remaining(after) == 999

    await within_a_minute(attempt)


async def test_requests_and_tokens_are_limited_each(store: str) -> None:
    """A key without tokens left may still send requests that cost none."""

    async def attempt() -> None:
        key = limited(requests=3, tokens=10)
        async with limiter(store) as limits:
            allowance, charge = await limits.admit(key), await limits.charge(key, 10)
            with pytest.raises(RateLimited, match="used its 10 tokens per minute"):
                await limits.charge(key, 1)
            await limits.admit(key)
            await limits.admit(key)
            with pytest.raises(RateLimited, match="used its 3 requests per minute"):
                await limits.admit(key)

        assert allowance.headers["x-ratelimit-remaining-requests"] == "2"
        assert charge.headers["x-ratelimit-remaining-tokens"] == "0"
        assert len(allowance.headers) == len(charge.headers) == 3

    await within_a_minute(attempt)


async def test_keys_do_not_share_their_limits(store: str) -> None:
    """A key whose limit is used up does not stop another key."""
    one, other = limited(requests=1), limited(requests=1)
    async with limiter(store) as limits:
        await limits.admit(one)

        assert await admitted(limits, other)


async def test_the_limit_is_whole_again_two_minutes_after_a_first_request(
    server: RedisServer,
) -> None:
    """The request counts for a minute and then fades for another."""
    async with limiter(server.url) as limits:
        headers = (await limits.admit(limited(requests=5))).headers

    assert headers["x-ratelimit-reset-requests"] in ("2m0s", "1m59s", "1m58s")


async def test_two_routers_share_one_limit_on_redis(server: RedisServer) -> None:
    """Forty requests at once through both: exactly the limit is admitted, no more."""
    key = limited(requests=7, tokens=50)
    async with limiter(server.url) as one, limiter(server.url) as two:
        outcomes = await asyncio.gather(*(admitted(x, key) for x in (one, two) for _ in range(20)))
        await one.charge(key, 50)

        with pytest.raises(RateLimited, match="7 requests per minute"):
            await two.admit(key)
        with pytest.raises(RateLimited, match="50 tokens per minute"):
            await two.charge(key, 1)
    assert sum(outcomes) == 7


async def test_two_routers_grant_the_limit_each_in_memory() -> None:
    """With `memory://`, an approximation, every replica counts alone."""

    async def attempt() -> None:
        key = limited(requests=7)
        async with limiter("memory://") as one, limiter("memory://") as two:
            outcomes = [await admitted(x, key) for x in (one, two) for _ in range(10)]

        assert sum(outcomes[:10]) == sum(outcomes[10:]) == 7

    await within_a_minute(attempt)


@pytest.mark.parametrize("jump_s", [-3600.0, 3600.0])
async def test_a_clock_that_is_set_locks_no_key_out(
    jump_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In memory the limit also holds for a minute after the jump; no wait exceeds two minutes."""
    now = [1e9 + 30]
    monkeypatch.setattr(time, "time", lambda: now[0])
    key = limited(requests=3)
    async with limiter("memory://") as limits:
        before = [await admitted(limits, key) for _ in range(4)]
        now[0] += jump_s
        after = [await admitted(limits, key) for _ in range(4)]
        with pytest.raises(RateLimited) as caught:
            await limits.admit(key)

    assert before == after == [True, True, True, False]
    assert caught.value.retry_after_s is not None
    assert 1 <= caught.value.retry_after_s <= 120


async def test_an_outage_of_the_store_admits_everything_and_ends(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One warning marks the start, one the end; then the limits hold again."""
    caplog.set_level(logging.INFO, "blended")
    server, clock, key = RedisServer(tmp_path), Clock(), limited(requests=2)
    server.start()
    try:
        async with limiter(server.url, clock) as limits:
            first = [await admitted(limits, key) for _ in range(3)]
            server.kill()
            during = []
            for _ in range(3):
                clock.now += 1
                during += await asyncio.gather(*(admitted(limits, key) for _ in range(10)))
                await limits.settle(await limits.charge(key, 9), 5)
            warnings = [record.getMessage() for record in caplog.records]
            server.start()
            at_once = (await limits.admit(key)).headers
            clock.now += 1
            after = [await admitted(limits, key) for _ in range(3)]
    finally:
        server.kill()

    assert first == after == [True, True, False]
    assert all(during)
    assert at_once == {}
    assert len(warnings) == 1
    assert f"127.0.0.1:{server.port} fails" in warnings[0]
    assert [record.getMessage() for record in caplog.records][1:] == [
        f"The shared store at 127.0.0.1:{server.port} answers again; limits hold."
    ]


async def test_a_silent_store_is_asked_once_a_second(caplog: pytest.LogCaptureFixture) -> None:
    """One request waits for it; others in the same second do not."""
    silent = asyncio.Event()
    connections: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()

    async def take(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.put_nowait(writer)
        await silent.wait()
        writer.close()

    listener = await asyncio.start_server(take, "127.0.0.1", 0)
    port, clock, key = listener.sockets[0].getsockname()[1], Clock(), limited(requests=1)
    store = SharedStore(f"redis://127.0.0.1:{port}", 0.05, clock)
    limits = Limiter(store, clock)
    outcomes = []
    for _ in range(3):
        outcomes += [await admitted(limits, key) for _ in range(20)]
        await asyncio.wait_for(connections.get(), PATIENT_S)
        assert connections.empty()
        clock.now += 1
    await store.close()
    silent.set()
    listener.close()
    await listener.wait_closed()

    assert all(outcomes)
    assert len(caplog.records) == 1


async def test_a_store_that_refuses_is_an_outage_too(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """A wrong password does not lock clients out, and no log shows it."""
    async with limiter(f"redis://nobody:hunter2@127.0.0.1:{server.port}") as limits:
        outcomes = [await admitted(limits, limited(requests=1)) for _ in range(3)]

    assert all(outcomes)
    assert len(caplog.records) == 1
    assert "hunter2" not in caplog.text
