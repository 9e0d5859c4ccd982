"""The parts of a running blend that may fail: their processes, and what brings them back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from blended.launch.state import Running
from loadtests.harness import cluster
from loadtests.harness.postgres import Postgres
from loadtests.harness.processes import named
from loadtests.harness.redis_server import RedisServer


@dataclass(frozen=True)
class Site:
    """A blend with everything around it: the cluster, its second node, and both stores."""

    running: Running
    api_key: str
    ray_token: str
    database: Postgres
    limits: RedisServer
    node: int

    @property
    def url(self) -> str:
        """Where the API answers, without a path."""
        return self.running.url

    def replicas(self, app: str, deployment: str) -> list[int]:
        """The processes of a deployment's running replicas."""
        return cluster.replicas(self.running, self.ray_token, app, deployment)


@dataclass(frozen=True)
class Part:
    """A part: whose processes are struck, and how it is started again if nothing else does it."""

    name: str
    processes: Callable[[Site], Sequence[int]]
    restart: Callable[[Site], None] = lambda site: None


def _raylet(site: Site) -> Sequence[int]:
    return [process.pid for process in named(site.node, "raylet")]


PARTS = (
    Part("component replica", lambda site: site.replicas("component-a", "Simulated")[:1]),
    Part("router", lambda site: site.replicas("blended", "Router")[:1]),
    Part("HAProxy", lambda site: cluster.haproxies(site.running)),
    Part("Serve's controller", lambda site: cluster.controllers(site.running)),
    Part("a second node's raylet", _raylet),
    Part("limits' store", lambda site: [site.limits.pid], lambda site: site.limits.start()),
    Part("database", lambda site: site.database.pids, lambda site: site.database.start()),
)
