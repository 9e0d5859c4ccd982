"""Serve's own autoscaling in simulated time: its state, its wrapper and the policies are real.

Only the clock and the replicas are simulated. Ray's modules read the simulated clock, and the
replicas report what real ones would.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from ray.serve import autoscaling_policy
from ray.serve._private import autoscaling_state
from ray.serve._private.common import DeploymentID, ReplicaID, ReplicaMetricReport
from ray.serve._private.config import DeploymentConfig
from ray.serve._private.metrics_utils import InMemoryMetricsStore


@dataclass
class Clock:
    """The clock of a simulated day, in place of the one that Ray's modules read."""

    now: float

    def time(self) -> float:
        """Unix seconds."""
        return self.now

    def monotonic(self) -> float:
        """The same."""
        return self.now

    @contextmanager
    def is_rays(self) -> Iterator[None]:
        """A context in which Ray's autoscaling reads this clock."""
        with ExitStack() as stack:
            for module in (autoscaling_policy, autoscaling_state):
                stack.enter_context(patch.object(module, "time", self))
            yield


class Reports:
    """The records and reports of one replica, at Serve's intervals."""

    def __init__(self, replica: ReplicaID, config: Any) -> None:
        self._replica, self._config = replica, config
        self._store = InMemoryMetricsStore()  # type: ignore[no-untyped-call]
        self._recorded_s = self._reported_s = float("-inf")

    def report(self, now: float, metrics: Mapping[str, float], to: "Deployment") -> None:
        """Record and report, if it is time to."""
        config = self._config
        if now - self._recorded_s >= min(config.look_back_period_s / 5, config.metrics_interval_s):
            self._store.add_metrics_point(dict(metrics.items()), now)
            self._recorded_s = now
        if now - self._reported_s >= config.metrics_interval_s:
            self._store.prune_keys_and_compact_data(now - config.look_back_period_s)
            to.take(self._replica, now, {str(k): v for k, v in self._store.data.items()})
            self._reported_s = now


class Deployment:
    """A deployment's autoscaling: takes the reports of replicas, and decides their number."""

    def __init__(self, app: str, config: Mapping[str, Any]) -> None:
        self.id = DeploymentID(name=config["name"], app_name=app)
        settings = {"autoscaling_config": config["autoscaling_config"]}
        deployment = DeploymentConfig.model_validate(settings)
        self.config = deployment.autoscaling_config
        info = SimpleNamespace(
            deployment_config=deployment,
            target_capacity=None,
            target_capacity_direction=None,
        )
        self._state = autoscaling_state.DeploymentAutoscalingState(self.id)
        self.target = self._state.register(info, 1)  # type: ignore[arg-type]

    def replica(self, name: str) -> ReplicaID:
        """The id of a replica."""
        return ReplicaID(name, self.id)

    def take(self, replica: ReplicaID, now: float, metrics: Mapping[str, Any]) -> None:
        """Take the records of a replica."""
        report = ReplicaMetricReport(replica_id=replica, timestamp=now, metrics=dict(metrics))
        self._state.record_request_metrics_for_replica(report)

    def decide(self, running: Sequence[ReplicaID]) -> int:
        """The number of replicas that there should be from now on, while these run."""
        self._state.update_running_replica_ids(list(running))
        self.target = self._state.get_decision_num_replicas(self.target)
        return self.target
