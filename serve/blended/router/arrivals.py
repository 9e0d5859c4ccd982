"""The responses per second that each component can expect, from the requests at this replica.

Requests are counted by model and arm, not by the component drawn. So each component's share follows
from the weights, and after a change of weights it is known before the first draw. Where a policy
drew, it follows from the probabilities that it gave.
"""

import time
from collections import Counter, deque
from collections.abc import Callable, Mapping

from blended.config import Capability
from blended.experiments.assignment import Assignment
from blended.internal import REWARD
from blended.router import needs
from blended.router.blend import Blend
from blended.router.selection import SelectionDistribution

# The requested model, the arm of the user, the needs of the request, and what a policy gave it.
_Source = tuple[str, Assignment | None, tuple[Capability, ...], SelectionDistribution | None]
# The part of the window in which a rush is seen.
_RECENT = 1 / 6


class Arrivals:
    """Counts of arrivals over the blend's window, and over the last part of it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._windows = dict[float, _Window]()

    def use(self, blend: Blend) -> None:
        """Count over the windows of this blend; a window of another length begins empty."""
        window_s = blend.config.router.replicas.rate_window_s
        lengths_s = window_s, window_s * _RECENT
        self._windows = {s: self._windows.get(s, _Window(s)) for s in lengths_s}

    def count(
        self,
        model: str,
        assignment: Assignment | None = None,
        needed: tuple[Capability, ...] = (),
        by_policy: SelectionDistribution | None = None,
    ) -> None:
        """Count a request for the blend or for one component.

        A redraw is counted again, as a request for the component drawn.
        """
        now = self._clock()
        for window in self._windows.values():
            window.add(now, (model, assignment, needed, by_policy))

    def expected(self, blend: Blend) -> dict[float, dict[str, float]]:
        """Responses per second under the current blend, by the window's seconds and by component.

        The reward model can expect the responses that have several candidates.

        An unavailable component keeps its share while others are asked instead, so that its
        replicas are there when it returns. The count of a new window is divided by the window's
        whole length: other router replicas still count the requests that they got before.
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
    if blend.reward is not None:
        found[REWARD] = 0.0
    for source, rate in rates.items():
        model, assignment, *_ = source
        for component, probability in _probabilities(blend, source).items():
            if component not in blend.upstreams:  # gone since a policy gave it
                continue
            found[component] += rate * probability
            if blend.best_of(component, model, assignment) is not None:
                found[REWARD] += rate * probability
    return found


def _probabilities(blend: Blend, source: _Source) -> Mapping[str, float]:
    """The probability of each component now; if the arm or component is gone, the blend's."""
    model, assignment, needed, by_policy = source
    if by_policy is not None:
        return by_policy.by_component
    if model in blend.upstreams:
        return {model: 1.0}
    arms = blend.arms.get(assignment.experiment or "", {}) if assignment else {}
    distribution = arms.get(assignment.arm) if assignment else None
    among = needs.among(distribution or blend.distribution, needed, blend.upstreams)
    return among.by_component if among is not None else {}
