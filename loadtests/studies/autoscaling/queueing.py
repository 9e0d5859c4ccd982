"""A component's replicas in simulation: responses that share an engine, in simulated time.

As in `cluster.capacity.queueing`, the time to the first token is linear in the number of running
responses, and so is the time between tokens, which changes as responses begin and end. A request
goes to the replica with the fewest responses; if that replica is full, the request waits.
"""

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

from blended.config import Replicas, Simulation

# A callback to run at a time, and a callback for a response that has ended.
Schedule = Callable[[float, Callable[[float], None]], None]
Ended = Callable[["QueuedResponse"], None]


@dataclass
class QueuedResponse:
    """One response: when it arrived, its tokens, and when the first and the last were there."""

    arrived_s: float
    tokens: int
    lateness: float
    first_s: float = 0.0
    last_s: float = 0.0

    @property
    def ttft_s(self) -> float:
        """Seconds to the first token."""
        return self.first_s - self.arrived_s

    @property
    def itl_s(self) -> float:
        """Mean seconds between tokens; 0 for a single one."""
        return (self.last_s - self.first_s) / max(1, self.tokens - 1)


@dataclass
class Replica:
    """One replica; it calls `ended` with each response. Times are seconds since the day began."""

    simulation: Simulation
    settings: Replicas
    schedule: Schedule
    ended: Ended
    running: int = 0
    waiting: deque[QueuedResponse] = field(default_factory=deque)
    _progress: float = 0.0
    _at_s: float = 0.0
    _ends: list[tuple[float, int, QueuedResponse]] = field(default_factory=list)
    _order: "count[int]" = field(default_factory=count)
    _version: int = 0

    @property
    def ongoing(self) -> int:
        """Serve's count: running responses and waiting requests."""
        return self.running + len(self.waiting)

    @property
    def is_full(self) -> bool:
        """Whether the replica refuses the next request."""
        most = self.settings.max_ongoing_requests + self.settings.max_queued_requests
        return self.ongoing >= most

    def take(self, response: QueuedResponse, now: float) -> None:
        """Begin a response, or queue it."""
        if self.running < self.settings.max_ongoing_requests:
            self._begin(response, now)
        else:
            self.waiting.append(response)

    def _begin(self, response: QueuedResponse, now: float) -> None:
        self._change(1, now)
        load_ms = self.simulation.ttft_ms_per_running * self.running
        first_s = (self.simulation.ttft_ms + load_ms) / 1e3 * response.lateness
        self.schedule(now + first_s, lambda then: self._first_token(response, then))

    def _first_token(self, response: QueuedResponse, now: float) -> None:
        response.first_s = now
        self._change(0, now)
        end = self._progress + response.tokens - 1
        heapq.heappush(self._ends, (end, next(self._order), response))
        self._reschedule(now)

    def _change(self, by: int, now: float) -> None:
        """Let time pass up to now, and change the number of running responses by `more`."""
        self._progress += (now - self._at_s) / self._itl_s()
        self._at_s = now
        self.running += by
        self._reschedule(now)

    def _reschedule(self, now: float) -> None:
        self._version += 1
        if self._ends:
            version = self._version
            left = max(0.0, self._ends[0][0] - self._progress)
            self.schedule(now + left * self._itl_s(), lambda then: self._end(version, then))

    def _end(self, version: int, now: float) -> None:
        if version != self._version:
            return  # other responses have begun or ended since, which moved the end
        _, _, response = heapq.heappop(self._ends)
        response.last_s = now
        self._change(-1, now)
        self.ended(response)
        if self.waiting:
            self._begin(self.waiting.popleft(), now)

    def _itl_s(self) -> float:
        load_ms = self.simulation.itl_ms_per_running * max(1, self.running)
        return (self.simulation.itl_ms + load_ms) / 1e3
