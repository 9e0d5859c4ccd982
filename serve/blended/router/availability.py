"""Which components are available to this router replica, by health checks and by responses."""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import NoReturn

import aiohttp

from blended.router.blend import Upstream

logger = logging.getLogger(__name__)

# A component that took no more is given no work that nobody waits for, for so long.
_PAUSE_S = 10.0


class Availability:
    """The components that are out of the draw.

    A component leaves when a health check fails, or when the number of failed responses in a row
    reaches its health setting. It returns with the next check that succeeds. A component without
    checks or responses so far counts as available. `clock` gives seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._declined_at = dict[str, float]()
        self._out: set[str] = set()
        self._failures: dict[str, int] = {}
        self._waiting: defaultdict[str, set[asyncio.Timeout]] = defaultdict(set)

    @property
    def unavailable(self) -> frozenset[str]:
        """The ids of the components that are out."""
        return frozenset(self._out)

    def answered(self, upstream: Upstream) -> None:
        """Record an answer."""
        self._failures.pop(upstream.id, None)

    def failed(self, upstream: Upstream) -> None:
        """Record a response that did not come, or broke off."""
        failures = self._failures[upstream.id] = self._failures.get(upstream.id, 0) + 1
        if failures >= upstream.health.failures:
            self._leave(upstream, f"{failures} responses in a row failed")

    def declined(self, upstream: Upstream) -> None:
        """Record that a component took no more requests, or no work that nobody waits for."""
        self._declined_at[upstream.id] = self._clock()

    def is_idle(self, upstream: Upstream, waiting: int) -> bool:
        """Whether a component may get work that nobody waits for.

        It is available, has not `declined` lately, and fewer than `waiting` requests of this
        router replica wait for it.
        """
        full_at = self._declined_at.get(upstream.id)
        has_declined = full_at is not None and self._clock() - full_at < _PAUSE_S
        is_out = upstream.id in self._out
        return not is_out and not has_declined and len(self._waiting[upstream.id]) < waiting

    def checked(self, upstream: Upstream, alive: bool) -> None:
        """Record a health check."""
        if not alive:
            self._leave(upstream, "it did not answer a check")
            for waiting in self._waiting[upstream.id]:
                waiting.reschedule(0)
        elif upstream.id in self._out:
            self._out.discard(upstream.id)
            self._failures.pop(upstream.id, None)
            logger.warning("component %s is available again", upstream.id)

    @asynccontextmanager
    async def unless_gone(self, upstream: Upstream) -> AsyncIterator[None]:
        """Run the block, which waits for a component, as long as the component's checks succeed.

        Raises:
            TimeoutError: a check failed meanwhile.
        """
        waiting = self._waiting[upstream.id]
        async with asyncio.timeout(None) as timeout:
            waiting.add(timeout)
            try:
                yield
            finally:
                waiting.discard(timeout)

    async def watch(self, session: aiohttp.ClientSession, upstreams: Iterable[Upstream]) -> None:
        """Check all components, each in its own period, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for upstream in upstreams:
                group.create_task(self._watch(session, upstream))

    async def _watch(self, session: aiohttp.ClientSession, upstream: Upstream) -> NoReturn:
        while True:
            self.checked(upstream, await is_alive(session, upstream))
            await asyncio.sleep(upstream.health.period_s)

    def _leave(self, upstream: Upstream, why: str) -> None:
        if upstream.id not in self._out:
            self._out.add(upstream.id)
            logger.warning("component %s leaves the draw: %s", upstream.id, why)


async def is_alive(session: aiohttp.ClientSession, upstream: Upstream) -> bool:
    """Ask a component for its models: whether one of its replicas answers.

    A full component (429) is alive. A remote API may have no such list, but it answers. An error
    that nobody expected fails this check, and not those of the other components.
    """
    timeout = aiohttp.ClientTimeout(total=upstream.health.timeout_s)
    url, headers = f"{upstream.base_url}/models", upstream.authorization()
    try:
        async with session.get(
            url, headers=headers, timeout=timeout, allow_redirects=False
        ) as response:
            status = response.status
    except (aiohttp.ClientError, TimeoutError):
        return False
    except Exception as exc:
        logger.error("component %s could not be checked", upstream.id, exc_info=exc)
        return False
    if upstream.is_ours:
        return status in (200, 429)
    return status < 500 and status not in (401, 403)
