"""Requests and tokens per minute of every API key, counted by the `limits` library.

The window is its sliding window counter: two counts per key, whatever the limit. A moving window
would keep an entry for every single token, a fixed one would let twice the limit through around
the turn of a minute. The price: what was used in the minute before counts as evenly spread.

With `memory://` every router replica counts alone, so that n replicas grant up to n times the
limit; `redis://` counts for all of them, and for every blend that shares the database.
"""

import asyncio
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from limits import RateLimitItem, RateLimitItemPerMinute

from blended.errors import ApiError
from blended.router.access.keys import Key
from blended.router.access.rate_limits_store import LimitsStore

_MINUTE_S = 60
# A response's tokens are known once they are spent, so that their counter must refuse none.
_TOKENS = RateLimitItemPerMinute(10**15, namespace="tokens")


@dataclass(frozen=True)
class Window:
    """What a key has used of `limit`, as two counts.

    `previous` fades away evenly over a minute, of which `previous_ttl_s` are left. `current` stays
    whole until a minute is left of `current_ttl_s`, and fades then.
    """

    limit: int
    previous: int
    previous_ttl_s: float
    current: int
    current_ttl_s: float

    @property
    def remaining(self) -> int:
        """How much the key may use now."""
        faded = self.previous * self.previous_ttl_s / _MINUTE_S
        return max(0, self.limit - math.floor(faded + self.current))

    @property
    def resets_in_s(self) -> float:
        """Seconds until the whole limit is there again."""
        if self.current:
            return self.current_ttl_s
        return self.previous_ttl_s if self.previous else 0

    @property
    def opens_in_s(self) -> float:
        """Seconds until something remains, if nothing more is used."""
        if self.remaining:
            return 0
        if self.current < self.limit:
            return self.previous_ttl_s - (self.limit - self.current) * _MINUTE_S / self.previous
        return self.current_ttl_s - self.limit * _MINUTE_S / self.current

    def headers(self, unit: str) -> dict[str, str]:
        """OpenAI's three headers for `unit`, which is `requests` or `tokens`."""
        return {
            f"x-ratelimit-limit-{unit}": str(self.limit),
            f"x-ratelimit-remaining-{unit}": str(self.remaining),
            f"x-ratelimit-reset-{unit}": duration(self.resets_in_s),
        }


@dataclass(frozen=True)
class Allowance:
    """A request that was admitted; `headers` belong on its response."""

    headers: Mapping[str, str]


class RateLimited(ApiError):
    """429: a key has used its limit; `headers` belong on the response."""

    def __init__(self, message: str, retry_after_s: int, headers: Mapping[str, str]) -> None:
        super().__init__(429, message, "rate_limit_exceeded", None, retry_after_s)
        self.args = (message, retry_after_s, headers)
        self.headers = headers


class Limiter:
    """Counts what every key uses. While a shared store fails, everything is admitted, uncounted.

    `timeout_s` is the longest that a request waits for the store, `clock` gives seconds.

    Raises:
        ConfigError: `store_url` is no address of a store.
    """

    def __init__(
        self,
        store_url: str,
        timeout_s: float = 0.25,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = LimitsStore(store_url, timeout_s, clock)

    async def admit(self, key: Key) -> Allowance:
        """Count a request of `key`, also when it is refused for tokens.

        A key without limits costs nothing. Otherwise a shared store is asked twice in a row, or
        once where only tokens are limited.

        Raises:
            RateLimited: the key's requests or tokens are used up.
        """
        if key.requests_per_minute is None and key.tokens_per_minute is None:
            return _UNLIMITED
        counted = await self._store.ask(lambda: self._count(key))
        if counted is None:
            return _UNLIMITED
        admitted, windows = counted
        headers: dict[str, str] = {}
        for unit, window in windows.items():
            headers |= window.headers(unit)
        if not admitted:
            raise _refusal(key, windows, headers)
        return Allowance(headers)

    async def spend(self, key: Key, tokens: int) -> None:
        """Count the tokens of a response of `key`, prompt and completion, once it has ended."""
        if key.tokens_per_minute is not None and tokens > 0:
            await self._store.ask(lambda: self._store.hit(_TOKENS, key.name, tokens))

    async def close(self) -> None:
        """Close the connections to the store."""
        await self._store.close()

    async def _count(self, key: Key) -> tuple[bool, dict[str, Window]]:
        if key.tokens_per_minute is None:
            admitted, requests = await self._count_request(key)
            return admitted, {"requests": requests}
        if key.requests_per_minute is None:
            tokens = await self._window(_TOKENS, key, key.tokens_per_minute)
            return tokens.remaining > 0, {"tokens": tokens}
        (admitted, requests), tokens = await asyncio.gather(
            self._count_request(key), self._window(_TOKENS, key, key.tokens_per_minute)
        )
        return admitted and tokens.remaining > 0, {"requests": requests, "tokens": tokens}

    async def _count_request(self, key: Key) -> tuple[bool, Window]:
        assert key.requests_per_minute is not None, "counted only where they are limited"
        item = RateLimitItemPerMinute(key.requests_per_minute, namespace="requests")
        admitted = await self._store.hit(item, key.name)
        return admitted, await self._window(item, key, key.requests_per_minute)

    async def _window(self, item: RateLimitItem, key: Key, limit: int) -> Window:
        return Window(limit, *await self._store.counts(item, key.name))


def duration(seconds: float) -> str:
    """As OpenAI writes it, in whole seconds rounded up: `0s`, `59s`, `1m30s`."""
    minutes, rest = divmod(math.ceil(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"


def _refusal(key: Key, windows: Mapping[str, Window], headers: Mapping[str, str]) -> RateLimited:
    # None is empty when the window has moved on since the request was refused.
    empty = {unit: window for unit, window in windows.items() if not window.remaining} or windows
    wait_s = max(1, *(math.ceil(window.opens_in_s) for window in empty.values()))
    limits = " and ".join(f"{window.limit} {unit}" for unit, window in empty.items())
    message = f"The API key '{key.name}' has used its {limits} per minute; retry in {wait_s} s."
    return RateLimited(message, wait_s, headers)


_UNLIMITED = Allowance({})
