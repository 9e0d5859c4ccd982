"""The parts of a running blend that may fail: their processes, and what brings them back."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import psutil

from blended.launch.state import Running
from loadtests.harness.postgres import Postgres
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
        headers = {"Authorization": f"Bearer {self.ray_token}"}
        url = f"{self.running.dashboard_url}/api/serve/applications/"
        apps: dict[str, Any] = httpx.get(url, headers=headers, timeout=30).json()["applications"]
        replicas = apps[app]["deployments"][deployment]["replicas"]
        return [replica["pid"] for replica in replicas if replica["state"] == "RUNNING"]


@dataclass(frozen=True)
class Part:
    """A part: whose processes are struck, and how it is started again if nothing else does it."""

    name: str
    processes: Callable[[Site], Sequence[int]]
    restart: Callable[[Site], None] = lambda site: None


def _component(site: Site) -> Sequence[int]:
    return site.replicas("component-a", "Simulated")[:1]


def _router(site: Site) -> Sequence[int]:
    return site.replicas("blended", "Router")[:1]


def _haproxy(site: Site) -> Sequence[int]:
    found = (p for p in psutil.process_iter(["name", "cmdline"]) if p.info["name"] == "haproxy")
    folder = f"{site.running.temp_dir}/"
    return [p.pid for p in found if any(word.startswith(folder) for word in p.info["cmdline"])]


def _controller(site: Site) -> Sequence[int]:
    logs = site.running.logs.glob("serve/controller_*.log")
    found = (re.fullmatch(r"controller_(\d+)\.log", path.name) for path in logs)
    return [int(match[1]) for match in found if match and psutil.pid_exists(int(match[1]))]


def _raylet(site: Site) -> Sequence[int]:
    children = psutil.Process(site.node).children(recursive=True)
    return [child.pid for child in children if child.name() == "raylet"]


PARTS = (
    Part("component replica", _component),
    Part("router", _router),
    Part("HAProxy", _haproxy),
    Part("Serve's controller", _controller),
    Part("a second node's raylet", _raylet),
    Part("limits' store", lambda site: [site.limits.pid], lambda site: site.limits.start()),
    Part("database", lambda site: site.database.pids, lambda site: site.database.start()),
)
