"""The load of a Locust process and the delay of its events, which could spoil its measurements."""

import time
from collections.abc import Sequence
from typing import Any

import gevent  # type: ignore[import-untyped]

from loadtests.users.tally import Histogram

# Often enough for a 99th percentile in seconds, too seldom to be a load itself.
_TICK_S = 0.05
_WINDOW_S = 2.0


class ClientWatch:
    """Watches its own process while a run is on.

    `cpu` is the share of one CPU that the process took in the busiest 2 s. `lag` are the delays
    with which a greenlet woke up, which any token's time may have.
    """

    def __init__(self) -> None:
        self.cpu, self.lag = 0.0, Histogram()
        self._greenlet = gevent.spawn(self._watch)

    def stop(self) -> None:
        """Stop watching."""
        self._greenlet.kill(block=False)

    def to_wire(self) -> list[Any]:
        """The data for Locust's messages: everything so far."""
        return [self.cpu, dict(self.lag.buckets)]

    def _watch(self) -> None:
        began, busy = time.perf_counter(), time.process_time()
        while True:
            wanted = time.perf_counter() + _TICK_S
            gevent.sleep(_TICK_S)
            now = time.perf_counter()
            self.lag.add(now - wanted)
            if now - began >= _WINDOW_S:
                used = time.process_time()
                self.cpu = max(self.cpu, (used - busy) / (now - began))
                began, busy = now, used


def shown(name: str, wire: Sequence[Any]) -> dict[str, Any]:
    """A process's figures, from `to_wire`."""
    cpu, buckets = wire
    lag = Histogram()
    lag.buckets.update(buckets)
    return {
        "process": name,
        "cpu": round(cpu, 3),
        "lag_p99_ms": round(1e3 * (lag.quantile(0.99) or 0.0), 1),
    }
