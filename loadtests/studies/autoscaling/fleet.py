"""A component's simulated replicas: starting, running and ending ones."""

from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

from ray.serve._private.common import RUNNING_REQUESTS_KEY, ReplicaID

from blended.app import COMPONENT_APP_PREFIX
from blended.config import SimulatedComponent
from loadtests.studies.autoscaling.controller import Deployment, Reports
from loadtests.studies.autoscaling.queueing import Ended, QueuedResponse, Replica, Schedule


class Fleet:
    """As many replicas as Serve wants, each of them ready `startup_s` after Serve wanted it.

    `ups` and `downs` count how often Serve has wanted more, or fewer.
    """

    def __init__(
        self,
        component: SimulatedComponent,
        deployment: Mapping[str, Any],
        startup_s: float,
        schedule: Schedule,
        ended: Ended,
    ) -> None:
        self._deployment = Deployment(COMPONENT_APP_PREFIX + component.id, deployment)
        self._startup_s = startup_s
        self._new: Callable[[], Replica] = lambda: Replica(
            component.simulation, component.replicas, schedule, ended
        )
        self._numbers = count()
        self._wanted: list[_Wanted] = []
        self._going: list[Replica] = []
        self.ups = self.downs = 0
        self._aim(self._deployment.target, -startup_s)
        self._there = list(self._wanted)

    def take(self, response: QueuedResponse, now: float) -> bool:
        """Give a request to the replica with the fewest; False if all are full."""
        replicas = (wanted.replica for wanted in self._there)
        least = min(replicas, key=lambda replica: replica.ongoing, default=None)
        if least is None or least.is_full:
            return False
        least.take(response, now)
        return True

    def control(self, now: float, clock: float) -> int:
        """One loop of the controller: reports, and a decision; returns the number of replicas.

        Starting replicas, and ending ones that finish their responses, take a GPU as well.
        """
        self._there = [wanted for wanted in self._wanted if wanted.ready_s <= now]
        for wanted in self._there:
            ongoing = {RUNNING_REQUESTS_KEY: float(wanted.replica.ongoing)}
            wanted.reports.report(clock, ongoing, self._deployment)
        target = self._deployment.decide([wanted.id for wanted in self._there])
        self.ups += target > len(self._wanted)
        self.downs += target < len(self._wanted)
        self._aim(target, now)
        self._there = [wanted for wanted in self._wanted if wanted.ready_s <= now]
        self._going = [replica for replica in self._going if replica.ongoing]
        return len(self._wanted) + len(self._going)

    def _aim(self, target: int, now: float) -> None:
        while len(self._wanted) < target:
            name = self._deployment.replica(str(next(self._numbers)))
            reports = Reports(name, self._deployment.config)
            self._wanted.append(_Wanted(name, now + self._startup_s, self._new(), reports))
        while len(self._wanted) > target:
            self._going.append(self._wanted.pop().replica)


class _Wanted:
    def __init__(self, name: ReplicaID, ready_s: float, replica: Replica, reports: Reports) -> None:
        self.id, self.ready_s, self.replica, self.reports = name, ready_s, replica, reports
