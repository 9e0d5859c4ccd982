"""A running cluster of `blended up`, seen from outside: its processes, and one more node."""

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from blended.launch import free_ports
from blended.launch.state import Running
from loadtests.harness.processes import family


@dataclass(frozen=True)
class Listener:
    """An address and port on which a process listens, and its command line."""

    ip: str
    port: int
    process: str


def applications(running: Running, ray_token: str) -> dict[str, Any]:
    """Ray Serve's report on the applications, by name."""
    headers = {"Authorization": f"Bearer {ray_token}"}
    url = f"{running.dashboard_url}/api/serve/applications/"
    report: dict[str, Any] = httpx.get(url, headers=headers, timeout=30).json()
    return report["applications"]  # type: ignore[no-any-return]


def replicas(running: Running, ray_token: str, app: str, deployment: str) -> list[int]:
    """The processes of a deployment's running replicas; none until Serve reports it."""
    deployments = applications(running, ray_token)[app]["deployments"]
    found = deployments[deployment]["replicas"] if deployment in deployments else []
    return [replica["pid"] for replica in found if replica["state"] == "RUNNING"]


def haproxies(running: Running) -> list[int]:
    """The processes of HAProxy, by the file that they read."""
    folder = f"{running.temp_dir}/"
    found = (p for p in psutil.process_iter(["name", "cmdline"]) if p.info["name"] == "haproxy")
    return [p.pid for p in found if any(word.startswith(folder) for word in p.info["cmdline"])]


def listeners(running: Running) -> Iterator[Listener]:
    """Where the cluster's processes listen on TCP; a process may end while it is asked."""
    for process in family(running.pid):
        with suppress(psutil.NoSuchProcess):
            title = " ".join(process.cmdline()).strip()
            for connection in process.net_connections("tcp"):
                if connection.status == psutil.CONN_LISTEN:
                    yield Listener(connection.laddr.ip, connection.laddr.port, title)


def controllers(running: Running) -> list[int]:
    """The process of Serve's controller, by the name of its log."""
    names = (path.name for path in running.logs.glob("serve/controller_*.log"))
    found = (re.fullmatch(r"controller_(\d+)\.log", name) for name in names)
    return [int(match[1]) for match in found if match and psutil.pid_exists(int(match[1]))]


def gcs_port(running: Running) -> str:
    """The port of the cluster's own store."""
    words = psutil.Process(running.pid).cmdline()
    (port,) = (word.removeprefix("--port=") for word in words if word.startswith("--port="))
    return port


@contextmanager
def another_node(
    running: Running, log: Path, environment: Mapping[str, str], options: Sequence[str]
) -> Iterator["subprocess.Popen[bytes]"]:
    """A node that `ray start` adds to the cluster until the block ends, and then kills."""
    ports = free_ports.block(2)
    command = [
        *(str(Path(sys.executable).with_name("ray")), "start", "--block"),
        *("--node-ip-address=127.0.0.1", f"--address=127.0.0.1:{gcs_port(running)}"),
        "--object-store-memory=83886080",
        f"--dashboard-agent-listen-port={ports[0]}",
        f"--metrics-export-port={ports[1]}",
        *options,
    ]
    with log.open("w") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    try:
        yield process
    finally:
        for member in family(process.pid):
            member.kill()
        process.wait(30)
