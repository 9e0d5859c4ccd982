"""A component's replicas in simulation: responses that share an engine, in simulated time.

As `cluster.capacity.queueing` has it: a response has its first token after a time that is linear in
the number of responses under way, and so is the time between its tokens, which changes as they come
and go. A request goes to the replica with the fewest; where it takes no more, it waits for its
turn.
"""

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

from blended.config import Replicas, Simulation

# Have something done at a time, and hear of a response that has ended.
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
    """One replica; `ended` hears of its responses. All times are seconds since the day began."""

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
        """What Serve counts: responses under way and those that wait."""
        return self.running + len(self.waiting)

    @property
    def is_full(self) -> bool:
        """Whether it refuses the next request."""
        most = self.settings.max_ongoing_requests + self.settings.max_queued_requests
        return self.ongoing >= most

    def take(self, response: QueuedResponse, now: float) -> None:
        """Begin a response, or have it wait."""
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
        """Let time pass up to now, and have so many more under way from now on."""
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
            return  # others have come or gone since, which moved the end
        _, _, response = heapq.heappop(self._ends)
        response.last_s = now
        self._change(-1, now)
        self.ended(response)
        if self.waiting:
            self._begin(self.waiting.popleft(), now)

    def _itl_s(self) -> float:
        load_ms = self.simulation.itl_ms_per_running * max(1, self.running)
        return (self.simulation.itl_ms + load_ms) / 1e3
