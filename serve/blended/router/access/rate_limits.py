"""Requests and tokens per minute of every API key, counted by the `limits` library.

The window is its sliding window counter, which keeps two counts per key for any limit. A moving
window would keep an entry for every token; a fixed one would let twice the limit through around the
turn of a minute. The cost: use in the minute before counts as evenly spread.

The most tokens that a response may have are charged before it is generated, and corrected once
they are known. So requests that run at once, and clients that leave early, are counted as well.

With `memory://` every router replica counts alone, so that n replicas grant up to n times the
limit; `redis://` counts for all of them, and for every blend that shares the database.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from limits import RateLimitItem, RateLimitItemPerMinute

from blended.errors import ApiError
from blended.router.access.keys import Key
from blended.router.shared_store import SharedStore

_MINUTE_S = 60
# The library counts use without a limit of its own; each charge gives the limit.
_TOKENS = RateLimitItemPerMinute(10**15, namespace="tokens")


@dataclass(frozen=True)
class Window:
    """The used part of a key's `limit`, as two counts.

    `previous` fades evenly over a minute, of which `previous_ttl_s` are left. `current` stays whole
    until a minute of `current_ttl_s` is left, and then fades.
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
        """Seconds until the whole limit is available again."""
        if self.current:
            return self.current_ttl_s
        return self.previous_ttl_s if self.previous else 0

    @property
    def opens_in_s(self) -> float:
        """Seconds until something remains, without further use."""
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
    """An admitted request; `headers` belong on its response."""

    headers: Mapping[str, str]


@dataclass(frozen=True)
class Charge:
    """Tokens charged to a key for a response before it is generated.

    They count in a window that ends at `until_s` on the limiter's clock. `headers` belong on the
    response. A key without a limit is charged none, and so is any key while the store fails.
    """

    key: Key
    tokens: int = 0
    until_s: float = 0.0
    headers: Mapping[str, str] = field(default_factory=dict)


class RateLimited(ApiError):
    """429: a key has used its limit; `headers` belong on the response."""

    def __init__(self, message: str, retry_after_s: int, headers: Mapping[str, str]) -> None:
        super().__init__(429, message, "rate_limit_exceeded", None, retry_after_s)
        self.args = (message, retry_after_s, headers)
        self.headers = headers


class Limiter:
    """Counts the use of every key. While the store fails, requests are admitted uncounted.

    `clock` gives seconds.
    """

    def __init__(self, store: SharedStore, clock: Callable[[], float] = time.monotonic) -> None:
        self._store, self._clock = store, clock

    async def admit(self, key: Key) -> Allowance:
        """Count a request of `key`, for any path.

        A key without a request limit causes no call of the store; other keys cause two.

        Raises:
            RateLimited: the key's requests are used up.
        """
        limit = key.requests_per_minute
        if limit is None:
            return _UNLIMITED
        item = RateLimitItemPerMinute(limit, namespace="requests")
        counted = await self._store.ask(lambda: self._count(item, key, limit, 1, limit))
        if counted is None:
            return _UNLIMITED
        admitted, window = counted
        if not admitted:
            raise _refusal(key, "requests", window)
        return Allowance(window.headers("requests"))

    async def charge(self, key: Key, tokens: int) -> Charge:
        """Charge `key` the tokens that a response may cost, prompt and completion.

        The charge succeeds while any tokens remain, so that a response may cost more than that.

        Raises:
            RateLimited: the key's tokens are used up; nothing is charged.
        """
        limit = key.tokens_per_minute
        if limit is None:
            return Charge(key)
        most = limit - 1 + tokens
        counted = await self._store.ask(lambda: self._count(_TOKENS, key, limit, tokens, most))
        if counted is None:
            return Charge(key)
        charged, window = counted
        if not charged:
            raise _refusal(key, "tokens", window)
        until_s = self._clock() + window.current_ttl_s - _MINUTE_S
        return Charge(key, tokens, until_s, window.headers("tokens"))

    async def settle(self, charge: Charge, tokens: int) -> None:
        """Correct a charge to the tokens that the response cost."""
        if charge.key.tokens_per_minute is not None and tokens != charge.tokens:
            await self._store.ask(lambda: self._correct(charge, tokens - charge.tokens))

    async def _count(
        self, item: RateLimitItem, key: Key, limit: int, amount: int, most: int
    ) -> tuple[bool, Window]:
        counted = await self._store.hit(item, key.name, amount, most)
        return counted, Window(limit, *await self._store.counts(item, key.name))

    async def _correct(self, charge: Charge, difference: int) -> None:
        name = charge.key.name
        if difference < 0:
            window = Window(0, *await self._store.counts(_TOKENS, name))
            refund = -difference * self._weight(charge, window)
            # Give back at most the current count: a count below 0 would grant more than the limit.
            difference = -min(math.floor(refund), window.current)
        if difference:
            await self._store.hit(_TOKENS, name, difference)

    def _weight(self, charge: Charge, window: Window) -> float:
        """The part of a charge that is given back for each of its tokens."""
        late_s = self._clock() - charge.until_s
        if late_s < 0:
            return 1
        # The charge fades by itself: on average it weighs half of its rest.
        return window.previous_ttl_s / _MINUTE_S / 2 if late_s < _MINUTE_S else 0


def duration(seconds: float) -> str:
    """A duration as OpenAI writes it, in whole seconds rounded up: `0s`, `59s`, `1m30s`."""
    minutes, rest = divmod(math.ceil(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"


def _refusal(key: Key, unit: str, window: Window) -> RateLimited:
    wait_s = max(1, math.ceil(window.opens_in_s))
    message = (
        f"The API key '{key.name}' has used its {window.limit} {unit} per minute; "
        f"retry in {wait_s} s."
    )
    return RateLimited(message, wait_s, window.headers(unit))


_UNLIMITED = Allowance({})
