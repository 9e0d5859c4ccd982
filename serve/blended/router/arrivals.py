"""How many responses per second each component has to expect, by what this router replica is asked.

Requests are counted by what decides who answers them, and not by who was drawn: so each component's
part follows from the weights, and a change of these is known before the first draw by them.
"""

import time
from collections import Counter, deque
from collections.abc import Callable, Mapping

from blended.experiments.assignment import Assignment
from blended.router.blend import Blend

# The model that was asked for, and the arm of the user who asked.
_Source = tuple[str, Assignment | None]
# A rush is seen in a part of the window.
_RECENT = 1 / 6


class Arrivals:
    """What arrived over the blend's window, and over the last part of it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._windows = dict[float, _Window]()

    def use(self, blend: Blend) -> None:
        """Count over the windows of this blend; another one than before begins empty."""
        window_s = blend.config.router.replicas.rate_window_s
        lengths_s = window_s, window_s * _RECENT
        self._windows = {s: self._windows.get(s, _Window(s)) for s in lengths_s}

    def count(self, model: str, assignment: Assignment | None = None) -> None:
        """Count a request for the blend or one component; also one that others did not answer.

        What is redrawn is asked of that one component, as if by its name.
        """
        now = self._clock()
        for window in self._windows.values():
            window.add(now, (model, assignment))

    def expected(self, blend: Blend) -> dict[float, dict[str, float]]:
        """Responses per second by the window's seconds and by component, under the blend of now.

        A component that is unavailable keeps its part while others are asked instead, so that its
        replicas are there when it is back. A window that has just been opened is divided by its
        whole length: what other router replicas were asked before, they still count themselves.
        """
        now = self._clock()
        return {s: _expected(blend, window.rates(now)) for s, window in self._windows.items()}


class _Window:
    def __init__(self, length_s: float) -> None:
        self._length_s = length_s
        self._arrived = deque[tuple[float, _Source]]()
        self._counts = Counter[_Source]()

    def add(self, now: float, source: _Source) -> None:
        self._arrived.append((now, source))
        self._counts[source] += 1
        self._forget(now)

    def rates(self, now: float) -> dict[_Source, float]:
        self._forget(now)
        self._counts = +self._counts  # without those that are at 0
        return {source: count / self._length_s for source, count in self._counts.items()}

    def _forget(self, now: float) -> None:
        while self._arrived and self._arrived[0][0] <= now - self._length_s:
            self._counts[self._arrived.popleft()[1]] -= 1


def _expected(blend: Blend, rates: Mapping[_Source, float]) -> dict[str, float]:
    found = dict.fromkeys(blend.upstreams, 0.0)
    for (model, assignment), rate in rates.items():
        for component, probability in _probabilities(blend, model, assignment).items():
            found[component] += rate * probability
    return found


def _probabilities(blend: Blend, model: str, assignment: Assignment | None) -> Mapping[str, float]:
    """Who would answer such a request now; an arm or component that is gone leaves the blend's."""
    if model in blend.upstreams:
        return {model: 1.0}
    arms = blend.arms.get(assignment.experiment or "", {}) if assignment else {}
    distribution = arms.get(assignment.arm) if assignment else None
    return (distribution or blend.distribution).by_component
