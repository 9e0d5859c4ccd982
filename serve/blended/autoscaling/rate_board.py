"""The rates that components have to expect, on their way from the router replicas to the policies.

Autoscaling policies run in the process of Serve's controller, and each is shown one deployment. So
the router's policy leaves here what its replicas have recorded, and the components' policies read
it. Serve copies a policy, and every object that its module names, for each deployment; this module
it imports. So the board is named by way of it, and they all share one.

Serve's reports are the way because they are the quickest: 0.6 s from a step in the load to a
decision, against 7.1 s by way of a Prometheus that scrapes every two seconds, at no more work for
the controller (medians; loadtests/results/autoscaling-carriers.json).

A metric of Serve is a number by its name, so that the name carries the rest. A component's capacity
is part of it: it changes live with the router's blend, where an argument of a policy would restart
the engines with every change.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

# Router replicas record and report so often; what is older than the second says nothing of now.
REPORT_S, OLDEST_S = 1.0, 10.0
_PREFIX = "expected:"


class MetricPoint(Protocol):
    """A number that a replica has recorded, at a time in Unix seconds."""

    @property
    def timestamp(self) -> float: ...

    @property
    def value(self) -> float: ...


# A series by metric and by replica, as Serve's autoscaling context has them.
Recorded = Mapping[str, Mapping[Any, Sequence[MetricPoint]]]


@dataclass(frozen=True)
class Expected:
    """What a component has to expect: responses per second, by the seconds they were counted over.

    `capacity` are the responses per second that 1, 2, … of its replicas answer within the service
    level; `at` is when this was recorded, in Unix seconds.
    """

    at: float
    capacity: tuple[float, ...]
    rates: Mapping[float, float]

    def __add__(self, other: "Expected") -> "Expected":
        """Both together, with the capacity of the newer."""
        newer = max(self, other, key=lambda expected: expected.at)
        windows = {*self.rates, *other.rates}
        rates = {s: self.rates.get(s, 0.0) + other.rates.get(s, 0.0) for s in windows}
        return Expected(newer.at, newer.capacity, rates)


def metrics(
    capacities: Mapping[str, Sequence[float]], rates: Mapping[float, Mapping[str, float]]
) -> dict[str, float]:
    """What one router replica records: the rates, by window and component, that have a capacity."""
    return {
        _PREFIX + json.dumps([component, list(capacity), window_s]): by_component[component]
        for component, capacity in capacities.items()
        for window_s, by_component in rates.items()
    }


def summed(recorded: Recorded, now: float) -> dict[str, Expected]:
    """What all router replicas together have recorded, by component.

    A replica that has not reported for long is left out, and so is what a replica records no more:
    rates under a capacity that has changed. What seems to be of the future was recorded before
    somebody set the clock back.
    """
    parts = [found for found in _parts(recorded) if _is_of_now(found[2], now)]
    newest = dict[object, float]()
    for replica, _, part in parts:
        newest[replica] = max(part.at, newest.get(replica, part.at))
    found = dict[str, Expected]()
    for replica, component, part in parts:
        if part.at == newest[replica]:
            found[component] = found[component] + part if component in found else part
    return found


def _parts(recorded: Recorded) -> Iterator[tuple[object, str, Expected]]:
    """Each router replica's last word on a component's rate over one window."""
    for name, by_replica in recorded.items():
        if name.startswith(_PREFIX):
            component, capacity, window_s = json.loads(name.removeprefix(_PREFIX))
            for replica, points in by_replica.items():
                for last in points[-1:]:
                    rates = {window_s: last.value}
                    yield replica, component, Expected(last.timestamp, tuple(capacity), rates)


class Board:
    """What is known now, until something else is."""

    def __init__(self) -> None:
        self._expected: Mapping[str, Expected] = {}

    def leave(self, expected: Mapping[str, Expected]) -> None:
        """Put this in place of what there was."""
        self._expected = expected

    def read(self, component: str, now: float) -> Expected | None:
        """What a component has to expect; None where that is not known, or not any more."""
        found = self._expected.get(component)
        return found if found is not None and _is_of_now(found, now) else None


def _is_of_now(expected: Expected, now: float) -> bool:
    return abs(now - expected.at) <= OLDEST_S


BOARD = Board()
