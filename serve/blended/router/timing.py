"""The times of one response's steps, and the durations between them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import fmean
from time import perf_counter, time


@dataclass
class Timing:
    """The times of one response, in seconds on one monotonic clock.

    `started_at` is the arrival of the request, in Unix seconds to the millisecond. `asked` is when
    the component that answered, or the last one, was asked. `came` is when the last bytes of its
    answer came; `pieces` are the times of bytes that hold a piece of it: one if it is no stream.
    """

    clock: Callable[[], float] = perf_counter
    started_at: float = field(default_factory=lambda: round(time(), 3))
    arrived: float = field(init=False)
    asked: float | None = field(default=None, init=False)
    came: float | None = field(default=None, init=False)
    pieces: list[float] = field(default_factory=list, init=False)
    ended: float | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.arrived = self.clock()

    def ask(self) -> None:
        """Record that a component is asked now."""
        self.asked = self.clock()

    def come(self) -> None:
        """Record that bytes of the answer have come."""
        self.came = self.clock()

    def piece(self) -> None:
        """Record that the last bytes hold a piece of the answer."""
        assert self.came is not None, "nothing has come"
        self.pieces.append(self.came)

    def end(self) -> None:
        """Record the end of the response."""
        self.ended = self.clock()

    @property
    def ttft_s(self) -> float | None:
        """Seconds from the request to the first piece; None if there was none."""
        return self.pieces[0] - self.arrived if self.pieces else None

    @property
    def e2e_s(self) -> float:
        """Seconds from the request to the end."""
        assert self.ended is not None, "the response has not ended"
        return self.ended - self.arrived

    @property
    def router_s(self) -> float:
        """The seconds of `e2e_s` not spent waiting for the component that answered."""
        if self.asked is None or self.came is None:
            return self.e2e_s
        return self.e2e_s - (self.came - self.asked)

    @property
    def itl_s(self) -> tuple[float, float] | None:
        """Mean and 99th percentile (nearest rank) of the gaps between pieces; None below two."""
        gaps = sorted(later - earlier for earlier, later in pairwise(self.pieces))
        if not gaps:
            return None
        return fmean(gaps), gaps[-(-99 * len(gaps) // 100) - 1]
