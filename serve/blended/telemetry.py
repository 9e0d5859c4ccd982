"""The metrics of a router replica, by Ray Serve's metrics: all of their names stand here."""

import asyncio
from collections import Counter
from typing import NoReturn

from ray.serve import metrics

from blended.router.response import Ending

_PERIOD_S = 1.0


class Telemetry:
    """Counts in the replica's memory and tells Ray once a second.

    Every call to Ray's metrics costs some microseconds, several of them a few percent of a request.
    """

    def __init__(self) -> None:
        self._responses = _Counts("blended_responses", "Responses.", "state", "component")
        self._attempts = _Counts("blended_attempts", "Components asked.", "component", "outcome")

    def ended(self, ending: Ending) -> None:
        """Count a response and the components that were asked for it."""
        attempts = ending.attempts
        answered = attempts.choice.component if attempts.choice else "none"
        self._responses.add(ending.state, answered)
        for failure in attempts.failures:
            self._attempts.add(failure.component, failure.reason)
        if attempts.choice:
            self._attempts.add(answered, "answered")

    async def report(self) -> NoReturn:
        """Tell Ray what has been counted, every second until cancelled."""
        while True:
            await asyncio.sleep(_PERIOD_S)
            self._responses.report()
            self._attempts.report()


class _Counts:
    def __init__(self, name: str, description: str, *tags: str) -> None:
        self._keys = tags
        self._counter = metrics.Counter(name, description, tag_keys=tags)  # type: ignore[arg-type]  # Ray's own hint
        self._new = Counter[tuple[str, ...]]()

    def add(self, *tags: str) -> None:
        self._new[tags] += 1

    def report(self) -> None:
        new, self._new = self._new, Counter()
        for tags, count in new.items():
            self._counter.inc(count, dict(zip(self._keys, tags, strict=True)))
