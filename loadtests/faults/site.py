"""A blend of simulated components on two nodes, with its stores, as long as the context lasts."""

import json
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil

from blended.app import serve_config
from blended.config import BlendConfig
from blended.internal import INTERNAL_PORT_ENV
from blended.launch import free_ports
from blended.launch.rest import ServeApi
from blended.launch.state import Running
from loadtests.faults.parts import Site
from loadtests.harness.cluster import another_node
from loadtests.harness.postgres import postgres
from loadtests.harness.processes import Unavailable, named, wait_until
from loadtests.harness.redis_server import redis_server
from loadtests.harness.start import up
from loadtests.harness.targets import START_TIMEOUT_S, Place

_GROUP = "second"
# Both nodes have one address here, so that the second one's HAProxy needs ports of its own.
_OWN_PORTS = (
    "RAY_SERVE_WORKER_PROXY_HTTP_PORT",
    "RAY_SERVE_HAPROXY_STATS_PORT",
    "RAY_SERVE_HAPROXY_METRICS_PORT",
    INTERNAL_PORT_ENV,
)


@contextmanager
def site() -> Iterator[Site]:
    """Everything up; the replicas of component b are on the second node alone.

    Raises:
        Unavailable: the blend, its second node or a store did not start.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="faults-")))
        database = stack.enter_context(postgres())
        limits = stack.enter_context(redis_server())
        place, state = Place(folder, {}), folder / "state-faults"
        up(_blend(limits.url, "a"), place, stack, {"BLENDED_JOURNAL_URL": database.url})
        running = Running(**json.loads((state / "running.json").read_text()))
        node = stack.enter_context(_second_node(running, folder))
        key, token = ((state / name).read_text().strip() for name in ("api_key", "ray_token"))
        # `blended apply` knows the node of this machine alone.
        _deploy(running, token, BlendConfig.model_validate(_blend(limits.url, "a", "b")))
        yield Site(running, key, token, database, limits, node)


def _deploy(running: Running, token: str, blend: BlendConfig) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    with ServeApi(running.dashboard_url, token) as api:
        api.deploy(serve_config(blend, int(running.url.rpartition(":")[2])))
        while {status.status for status in api.statuses()} != {"RUNNING"}:
            if time.monotonic() > deadline:
                raise Unavailable("the component on the second node did not start")
            time.sleep(1)


def _blend(shared_store: str, *components: str) -> dict[str, Any]:
    return {
        "name": "faults",
        "api": {"shared_store": shared_store},
        "router": {"cpus": 0.1, "replicas": {"min": 2, "max": 2}},
        "components": [_component(name) for name in components],
    }


def _component(name: str) -> dict[str, Any]:
    group = {"replica_group": _GROUP} if name == "b" else {}
    return {
        "id": name,
        "kind": "simulated",
        "simulation": {"ttft_ms": 50, "itl_ms": 10, "tokens": 20, "cpus": 0.1, **group},
        "replicas": {"min": 2, "max": 2},
        "health": {"period_s": 1, "timeout_s": 1},
    }


@contextmanager
def _second_node(running: Running, folder: Path) -> Iterator[int]:
    """A node with the label of its group."""
    own = zip(_OWN_PORTS, free_ports.block(len(_OWN_PORTS)), strict=True)
    environment = psutil.Process(running.pid).environ() | {name: str(port) for name, port in own}
    log = folder / "node.log"
    options = ["--num-cpus=1", f"--labels=blended/{_GROUP}=true"]
    with another_node(running, log, environment, options) as process:
        wait_until(lambda: _has_joined(process), process, log, START_TIMEOUT_S)
        yield process.pid


def _has_joined(process: "subprocess.Popen[bytes]") -> bool:
    return bool(named(process.pid, "raylet"))
