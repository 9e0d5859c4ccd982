"""The rates that components have to expect, on their way from the router replicas to the policies.

Autoscaling policies run in the process of Serve's controller, and each sees one deployment. So the
router's policy puts the records of its replicas on this board, and the components' policies read
them. Serve copies a policy, and every object in the policy's module, for each deployment, but it
imports this module. So policies access the board through this module, and share it.

Serve's reports carry the rates because they are the quickest way: autoscaling reacts to a load step
within 0.6 s, against 7.1 s through a Prometheus that scrapes every two seconds, at no more CPU time
of the controller (medians; loadtests/results/autoscaling-carriers.json).

A metric of Serve is a name and a number, so the name has the other values. A component's capacity
is one of them: it changes live with the router's blend, whereas a change of a policy's argument
would restart the engines.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

# Router replicas record and report at this interval; values older than the second limit are stale.
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
    """The expected rate of a component: responses per second, by the seconds of the window.

    `capacity` are the responses per second that 1, 2, … of its replicas answer within the service
    level; `at` is the time of the record, in Unix seconds.
    """

    at: float
    capacity: tuple[float, ...]
    rates: Mapping[float, float]

    def __add__(self, other: "Expected") -> "Expected":
        """The sum of both, with the capacity of the newer one."""
        newer = max(self, other, key=lambda expected: expected.at)
        windows = {*self.rates, *other.rates}
        rates = {s: self.rates.get(s, 0.0) + other.rates.get(s, 0.0) for s in windows}
        return Expected(newer.at, newer.capacity, rates)


def metrics(
    capacities: Mapping[str, Sequence[float]], rates: Mapping[float, Mapping[str, float]]
) -> dict[str, float]:
    """The records of one router replica: rates by window and component, for given capacities."""
    return {
        _PREFIX + json.dumps([component, list(capacity), window_s]): by_component[component]
        for component, capacity in capacities.items()
        for window_s, by_component in rates.items()
    }


def summed(recorded: Recorded, now: float) -> dict[str, Expected]:
    """The sum of the records of all router replicas, by component.

    A replica that has not reported for long is left out. So are rates that a replica no longer
    records, because their capacity has changed. What seems to be of the future was recorded before
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
    """Each router replica's last record of a component's rate over one window."""
    for name, by_replica in recorded.items():
        if name.startswith(_PREFIX):
            component, capacity, window_s = json.loads(name.removeprefix(_PREFIX))
            for replica, points in by_replica.items():
                for last in points[-1:]:
                    rates = {window_s: last.value}
                    yield replica, component, Expected(last.timestamp, tuple(capacity), rates)


class Board:
    """The present rates, until they are replaced."""

    def __init__(self) -> None:
        self._expected: Mapping[str, Expected] = {}

    def leave(self, expected: Mapping[str, Expected]) -> None:
        """Replace the rates."""
        self._expected = expected

    def read(self, component: str, now: float) -> Expected | None:
        """The expected rate of a component; None if it is unknown or stale."""
        found = self._expected.get(component)
        return found if found is not None and _is_of_now(found, now) else None


def _is_of_now(expected: Expected, now: float) -> bool:
    return abs(now - expected.at) <= OLDEST_S


BOARD = Board()
