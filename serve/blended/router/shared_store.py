"""What all router replicas have to know: counts of rate limits, and values for the next request.

In `memory://` each replica knows only its own; on `redis://` all of them share it.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

from limits import RateLimitItem
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.errors import StorageError
from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from blended.errors import ConfigError

logger = logging.getLogger(__name__)

T = TypeVar("T")

_RETRY_EVERY_S = 1
_CALLS_AT_ONCE = 16
_PREFIX = "blended/"


class SharedStore:
    """Sliding windows, by the `limits` library, and values that are read, or taken once.

    While the store fails, `ask` answers None: one call a second waits for the store, `timeout_s` at
    most, and other calls do not wait. `clock` gives seconds.

    Raises:
        ConfigError: `url` is not the address of a store.
    """

    def __init__(
        self,
        url: str,
        timeout_s: float = 0.25,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pool = _pool(url, timeout_s)
        self._storage = _storage(url, self._pool)
        self._values = _Memory(clock) if self._pool is None else _Redis(self._pool)
        self._place = urlsplit(url).netloc.rpartition("@")[2]
        self._timeout_s = timeout_s
        self._clock = clock
        # More connections would only wait for each other, and make a fast store look slow.
        self._slots = asyncio.Semaphore(_CALLS_AT_ONCE)
        self._fails = False
        self._retry_at = 0.0

    async def hit(
        self, item: RateLimitItem, name: str, amount: int = 1, limit: int | None = None
    ) -> bool:
        """Count `amount` unless that exceeds the limit; returns whether it was counted.

        `limit` replaces the item's own. A negative amount gives back. Reading and counting are one
        step, also on a store that router replicas share.
        """
        most = item.amount if limit is None else limit
        key, expiry_s = item.key_for(name), item.get_expiry()
        return await self._storage.acquire_sliding_window_entry(key, most, expiry_s, amount)

    async def counts(self, item: RateLimitItem, name: str) -> tuple[int, float, int, float]:
        """The previous window's count, seconds until it is gone, and both of the current window."""
        return await self._storage.get_sliding_window(item.key_for(name), item.get_expiry())

    async def put(self, name: str, value: str, kept_s: int) -> None:
        """Keep a value for so long, in place of another of that name."""
        await self._values.put(name, value, kept_s)

    async def get(self, name: str) -> str | None:
        """The value of that name."""
        return await self._values.get(name)

    async def take(self, name: str) -> str | None:
        """The value of that name, which is gone from then on: one caller at most gets it."""
        return await self._values.take(name)

    async def ask(self, call: Callable[[], Awaitable[T]]) -> T | None:
        """The result of `call`, which uses the methods above; None while the store fails."""
        if self._pool is None:
            return await call()
        async with self._slots:
            probing = self._fails
            if probing and self._clock() < self._retry_at:
                return None
            self._retry_at = self._clock() + _RETRY_EVERY_S
            try:
                async with asyncio.timeout(self._timeout_s):
                    answer = await call()
            except (StorageError, RedisError, TimeoutError) as exc:
                self._lost(str(exc) or "it did not answer in time")
                return None
        # A call that began before the outage may succeed in the middle of it.
        if probing:
            self._fails = False
            logger.warning("The shared store at %s answers again; limits hold.", self._place)
        return answer

    async def close(self) -> None:
        """Close the connections."""
        if self._pool is not None:
            await self._pool.aclose()

    def _lost(self, reason: str) -> None:
        if self._fails:
            return
        self._fails = True
        logger.warning(
            "The shared store at %s fails (%s); until it answers again, requests are admitted and "
            "not counted, and nothing is drawn ahead or recalled.",
            self._place,
            reason,
        )


class _Memory:
    """Values in this process; one that is never taken goes once it is too old."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._kept = dict[str, tuple[float, str]]()

    async def put(self, name: str, value: str, kept_s: int) -> None:
        self._forget()
        self._kept.pop(name, None)
        self._kept[name] = self._clock() + kept_s, value

    async def get(self, name: str) -> str | None:
        self._forget()
        return self._kept.get(name, (0.0, None))[1]

    async def take(self, name: str) -> str | None:
        self._forget()
        return self._kept.pop(name, (0.0, None))[1]

    def _forget(self) -> None:
        """Remove what is too old: the values stand in the order in which they were put."""
        now = self._clock()
        while self._kept and self._kept[oldest := next(iter(self._kept))][0] <= now:
            del self._kept[oldest]


class _Redis:
    """Values on a server that all replicas share."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._redis = Redis(connection_pool=pool)

    async def put(self, name: str, value: str, kept_s: int) -> None:
        await self._redis.set(_PREFIX + name, value, ex=kept_s)

    async def get(self, name: str) -> str | None:
        return _text(await self._redis.get(_PREFIX + name))

    async def take(self, name: str) -> str | None:
        # One step on every server; GETDEL is unknown to those before 6.2.
        async with self._redis.pipeline(transaction=True) as both:
            both.get(_PREFIX + name)
            both.delete(_PREFIX + name)
            taken, _ = await both.execute()
        return _text(taken)


def _text(found: Any) -> str | None:
    return found.decode() if isinstance(found, bytes) else found


def _pool(url: str, timeout_s: float) -> ConnectionPool | None:
    if url.startswith("memory:"):
        return None
    try:
        return ConnectionPool.from_url(
            url,
            # One call may use two connections at a time.
            max_connections=2 * _CALLS_AT_ONCE,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 0),
        )
    except ValueError as exc:
        # The message shows neither address nor cause: they may hold a password.
        raise ConfigError(f"api.shared_store is no address of a store: {exc}") from None


def _storage(url: str, pool: ConnectionPool | None) -> MemoryStorage | RedisStorage:
    if pool is None:
        return MemoryStorage()
    return RedisStorage(
        f"async+{url}",
        wrap_exceptions=True,
        implementation="redispy",
        key_prefix="blended",
        connection_pool=pool,  # type: ignore[arg-type]  # the library hands it on to redis-py
    )
