"""When things happened to one response, and the durations that follow."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import fmean
from time import perf_counter, time


@dataclass
class Timing:
    """The moments of one response, in seconds on one monotonic clock.

    `started_at` is the first of them, when the request arrived, in Unix seconds to the millisecond.
    `asked` is when the component was asked that answered, or the last one; `came` is when bytes of
    its answer came last, `pieces` when those came that hold a piece of it: one if it is no stream.
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
        """A component is asked now."""
        self.asked = self.clock()

    def come(self) -> None:
        """Bytes of the answer have come."""
        self.came = self.clock()

    def piece(self) -> None:
        """What came last holds a piece of the answer."""
        assert self.came is not None, "nothing has come"
        self.pieces.append(self.came)

    def end(self) -> None:
        """Nothing comes any more."""
        self.ended = self.clock()

    @property
    def ttft_s(self) -> float | None:
        """From the request to the first piece; None if there was none."""
        return self.pieces[0] - self.arrived if self.pieces else None

    @property
    def e2e_s(self) -> float:
        """From the request to the end."""
        assert self.ended is not None, "the response has not ended"
        return self.ended - self.arrived

    @property
    def router_s(self) -> float:
        """What of it was not spent waiting for the component that answered."""
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
