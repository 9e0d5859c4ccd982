"""A Ray cluster of one node on this machine: starts, finds and stops it, and no other cluster."""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
import psutil

from blended.errors import LaunchError
from blended.internal import INTERNAL_KEY_ENV
from blended.journal.identity import SECRET_ENV
from blended.launch import free_ports, state
from blended.launch.environment import PRIVACY_ENV, SERVE_ENV, haproxy_env, haproxy_files
from blended.launch.state import Running, ray_folder
from blended.launch.supervision import End
from blended.router.blend import CLIENT_KEY_ENV

MARKER_ENV = "BLENDED_CLUSTER"
# glibc gives the threads of a process heaps of their own, up to eight for each core, and free
# memory in one heap is of no use to the others: a replica under load would grow by tens of MiB.
_MEMORY_ENV = {"MALLOC_ARENA_MAX": "2"}
_START_TIMEOUT_S = 180.0
_STOP_TIMEOUT_S = 1.0
# Ports for Ray, for the proxies, the routers' way to their components, and two for each replica.
_PORTS = 210


@dataclass(frozen=True)
class Further:
    """Additional options and environment of `ray start`."""

    options: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


def start_node(
    blend: str,
    http_port: int,
    cpus: int,
    labels: Mapping[str, str],
    further: Callable[[int, Path], Further] = lambda gcs_port, temp_dir: Further(),
) -> Running:
    """Start Ray and wait until its dashboard answers; Serve itself starts with its first config.

    `further` is called with the port of the cluster's own store (GCS) and the folder for its files.

    Raises:
        LaunchError: the port is taken, or Ray did not come up; nothing is left running.
    """
    _refuse_taken(http_port)
    ports = free_ports.block(_PORTS, besides=http_port)
    ray_ports = _ray_ports(ports[:5])
    marker, temp_dir = secrets.token_hex(8), tempfile.mkdtemp(prefix="blended-")
    more = further(ray_ports["port"], Path(temp_dir))
    environment = _environment(marker, temp_dir) | _serve_ports(ports[5:9], ports[10:])
    environment |= haproxy_env(_program("blended-haproxy"), ports[9]) | haproxy_files(temp_dir)
    command = [*_command(temp_dir, ray_ports, cpus, labels), *more.options]
    with (Path(temp_dir) / "ray-start.log").open("w") as log:
        process = subprocess.Popen(
            command,
            env=environment | dict(more.environment),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    running = Running(
        blend=blend,
        url=f"http://127.0.0.1:{http_port}",
        dashboard_url=f"http://127.0.0.1:{ray_ports['dashboard-port']}",
        metrics_url=f"http://127.0.0.1:{ray_ports['metrics-export-port']}/metrics",
        marker=marker,
        temp_dir=temp_dir,
        pid=process.pid,
        starting=True,
    )
    state.write_running(running)
    try:
        _wait_for_dashboard(running, process)
    except BaseException:
        stop_node(running)
        raise
    return running


def stop_node(running: Running) -> int:
    """Stop every process of a cluster and remove its files; returns how many there were.

    It leaves another Ray on this machine alone.
    """
    if ours := _is_remembered(running):
        state.write_running(replace(running, stopping=True))
    processes = _processes(running)
    for process in processes:
        _signal(process, kill=False)
    _, alive = psutil.wait_procs(processes, timeout=_STOP_TIMEOUT_S)
    # Ending processes may have started others.
    rest = {*alive, *_processes(running)}
    for process in rest:
        _signal(process, kill=True)
    psutil.wait_procs(rest, timeout=_STOP_TIMEOUT_S)
    _remove(Path(running.temp_dir))
    if ours:
        state.forget_running()
    return len(processes)


def is_alive(running: Running) -> bool:
    """Whether the cluster still runs: `ray start`, which ends when its store (GCS) does."""
    try:
        root = psutil.Process(running.pid)
        return root.status() != psutil.STATUS_ZOMBIE and _carries(root, running.marker)
    except psutil.NoSuchProcess:
        return False


def wait(running: Running, poll_s: float = 2.0) -> End:
    """Return when the cluster runs no more: somebody has stopped it, or it was lost."""
    while is_alive(running):
        time.sleep(poll_s)
    return "lost" if _is_remembered(running) else "stopped"


def _is_remembered(running: Running) -> bool:
    """Whether the cluster is still the one of this user, and nobody stops it."""
    last = state.read_running()
    return last is not None and last.marker == running.marker and not last.stopping


def _remove(folder: Path) -> None:
    """Remove a folder, into which processes that are being killed may still write."""
    deadline = time.monotonic() + _STOP_TIMEOUT_S
    while folder.exists():
        shutil.rmtree(folder, ignore_errors=True)
        if time.monotonic() > deadline:
            return
        time.sleep(0.05)


def _command(
    temp_dir: str, ports: Mapping[str, int], cpus: int, labels: Mapping[str, str]
) -> list[str]:
    command = [
        _program("ray"),
        "start",
        "--head",
        "--block",
        "--node-ip-address=127.0.0.1",
        "--dashboard-host=127.0.0.1",
        "--include-dashboard=true",
        "--disable-usage-stats",
        # It would forward the logs of all processes, and no program reads them.
        "--include-log-monitor=false",
        f"--temp-dir={ray_folder(temp_dir)}",
        f"--num-cpus={cpus}",
        "--object-store-memory=134217728",
        *(f"--{name}={port}" for name, port in ports.items()),
    ]
    return command + ([f"--labels={_labels(labels)}"] if labels else [])


def _program(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def _labels(labels: Mapping[str, str]) -> str:
    return ",".join(f"{key}={value}" for key, value in labels.items())


def _environment(marker: str, temp_dir: str) -> dict[str, str]:
    return {
        **_MEMORY_ENV,
        **os.environ,
        **SERVE_ENV,
        **PRIVACY_ENV,
        MARKER_ENV: marker,
        "RAY_TMPDIR": str(ray_folder(temp_dir)),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(state.ray_token_path()),
        CLIENT_KEY_ENV: state.client_key(),
        INTERNAL_KEY_ENV: state.internal_key(),
        SECRET_ENV: state.journal_secret(),
    }


def _wait_for_dashboard(running: Running, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            if httpx.get(f"{running.dashboard_url}/api/version", timeout=2).status_code < 500:
                return
        except httpx.HTTPError:
            time.sleep(0.2)
    log = (Path(running.temp_dir) / "ray-start.log").read_text()[-1500:]
    raise LaunchError(f"Ray did not start within {_START_TIMEOUT_S:g} s. Its last words:\n{log}")


def _refuse_taken(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))
        except OSError as exc:
            raise LaunchError(
                f"Port {port} cannot be used ({exc}); choose another with --port."
            ) from exc


def _ray_ports(ports: Iterable[int]) -> dict[str, int]:
    names = (
        "port",
        "dashboard-port",
        "dashboard-agent-listen-port",
        "metrics-export-port",
        "ray-client-server-port",
    )
    return dict(zip(names, ports, strict=True))


def _serve_ports(proxies: Iterable[int], replicas: range) -> dict[str, str]:
    """Ports for Serve that no other cluster on this machine shares.

    Replicas of two clusters, or their fallback proxies, could otherwise listen on one port side by
    side, and the kernel would hand requests for one cluster to the other.
    """
    names = ("HAPROXY_STATS", "HAPROXY_METRICS", "FALLBACK_PROXY_HTTP", "FALLBACK_PROXY_GRPC")
    half = len(replicas) // 2
    ingress = {"HTTP": replicas[:half], "GRPC": replicas[half:]}
    return {
        **{f"RAY_SERVE_{n}_PORT": str(p) for n, p in zip(names, proxies, strict=True)},
        **{f"RAY_SERVE_DIRECT_INGRESS_MIN_{n}_PORT": str(p[0]) for n, p in ingress.items()},
        **{f"RAY_SERVE_DIRECT_INGRESS_MAX_{n}_PORT": str(p[-1]) for n, p in ingress.items()},
    }


def _processes(running: Running) -> set[psutil.Process]:
    """The descendants of `ray start`, and processes with the marker that have lost their parent.

    Neither alone finds all: HAProxy outlives the process that started it, and processes that set
    their title overwrite the environment that others can read.
    """
    found = {p for p in psutil.process_iter() if _carries(p, running.marker)}
    with suppress(psutil.NoSuchProcess):
        root = psutil.Process(running.pid)
        if root in found:  # the pid was not given to another process since
            found.update(root.children(recursive=True))
    return found


def _carries(process: psutil.Process, marker: str) -> bool:
    try:
        return bool(process.environ().get(MARKER_ENV) == marker)
    except psutil.Error:
        return False


def _signal(process: psutil.Process, kill: bool) -> None:
    with suppress(psutil.NoSuchProcess):
        process.kill() if kill else process.terminate()
