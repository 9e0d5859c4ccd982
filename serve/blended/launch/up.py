"""Start a blend and wait until every engine answers, or name the failed one and the cause."""

import math
import re
import time
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from glob import glob
from pathlib import Path

from blended.app import COMPONENT_APP_PREFIX, REWARD_APP, serve_config
from blended.components.placement import selector
from blended.config import (
    BlendConfig,
    RewardProcess,
    Served,
    SimulatedComponent,
    VllmComponent,
    VllmReward,
    gpu_shares,
)
from blended.errors import LaunchError
from blended.launch import node, state
from blended.launch.client import Client
from blended.launch.rest import AppStatus, ServeApi
from blended.launch.state import Running

# Called with one sentence of progress at every change.
Report = Callable[[str], None]

_POLL_S = 0.5
_WARM_UP_S = 120.0
# Ray's CPUs are logical and cannot be added to a running node: room for more components.
_SPARE_CPUS = 64
_ENGINE_ERROR = re.compile(r"ERROR [^\]]*\] (?P<cause>(?:[\w.]+(?:Error|Exception)): .+)")
_CONSEQUENCES = ("See stack trace for root cause", "Worker failed with error", "root cause above")


def up_local(blend: BlendConfig, http_port: int, timeout_s: float, report: Report) -> Running:
    """Start a Ray cluster on this machine and the blend on it.

    Raises:
        LaunchError: with the component's name and the cause; nothing is left running.
    """
    refuse_second(report)
    _refuse_missing_gpus(blend)
    _refuse_missing_folders(blend)
    report("starting Ray")
    running = node.start_node(
        blend.name, http_port, reserved_cpus(blend) + _SPARE_CPUS, node_labels(blend)
    )
    try:
        api = ServeApi(running.dashboard_url, state.ray_token())
        deploy(api, blend, http_port, timeout_s, report, state.ray_folder(running.temp_dir))
        warm_up(blend, running.url, report)
    except BaseException:
        node.stop_node(running)
        raise
    running = replace(running, starting=False)
    state.write_running(running)
    return running


def deploy(
    api: ServeApi,
    blend: BlendConfig,
    http_port: int,
    timeout_s: float,
    report: Report,
    ray_dir: Path | None = None,
) -> None:
    """Hand the blend to Serve and wait until all of its applications run.

    `ray_dir` is Ray's folder if it can be read: only there do engines write the cause of a failure.

    Raises:
        LaunchError: an application failed, or they do not all run after `timeout_s`.
    """
    config = serve_config(blend, http_port)
    api.deploy(config)
    wait_until_running(
        api, {app["name"] for app in config["applications"]}, timeout_s, report, ray_dir
    )


def wait_until_running(
    api: ServeApi,
    names: Collection[str],
    timeout_s: float,
    report: Report,
    ray_dir: Path | None = None,
    earlier_failures: Collection[str] = (),
) -> None:
    """Wait until all of these applications run, and report every stage of each.

    `earlier_failures` are Serve's descriptions of earlier failures, which it shows for a while.

    Raises:
        LaunchError: an application failed, or they do not all run after `timeout_s`.
    """
    began, known = time.time(), dict[str, str]()
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        statuses = [status for status in api.statuses() if status.name in names]
        for status in statuses:
            if status.status != "DEPLOYING" or status.failure not in earlier_failures:
                _fail_if_failed(status, ray_dir, began)
            stage = _stage(status)
            if known.get(status.name) != stage:
                known[status.name] = stage
                report(f"{short(status.name)}: {stage}")
        if len(statuses) == len(names) and all(s.status == "RUNNING" for s in statuses):
            return
        time.sleep(_POLL_S)
    late = ", ".join(f"{short(n)} ({s})" for n, s in sorted(known.items()) if s != "running")
    raise LaunchError(
        f"Not running after {timeout_s:g} s: {late}. Give the cluster nodes that fit, or more "
        "time with --timeout."
    )


def warm_up(blend: BlendConfig, url: str, report: Report) -> None:
    """Have every engine answer once, because its first response takes seconds longer.

    Raises:
        LaunchError: a component does not answer through the router.
    """
    report("warming the engines up")
    engines = [c.id for c in blend.components if isinstance(c, VllmComponent)]
    client = Client(url, state.client_key())
    with ThreadPoolExecutor(max_workers=max(1, len(engines))) as pool:
        for _ in pool.map(lambda engine: _warm(client, engine), engines):
            pass


def _warm(client: Client, engine: str) -> None:
    deadline = time.monotonic() + _WARM_UP_S
    while True:
        try:
            client.ask(engine, [{"role": "user", "content": "Hello!"}], max_tokens=4)
            return
        except LaunchError as exc:
            # HAProxy learns of a new replica a moment after Serve calls it running.
            if time.monotonic() > deadline:
                message = f"Component '{engine}' does not answer: {exc}"
                raise LaunchError(message) from exc
            time.sleep(_POLL_S)


def refuse_second(report: Report) -> None:
    """Remove what is left of a blend of this user that has ended by itself.

    Raises:
        LaunchError: one runs on this machine; the message says where.
    """
    running = state.read_running()
    if running is None:
        return
    if node.is_alive(running):
        raise LaunchError(
            f"The blend '{running.blend}' already runs at {running.url}; stop it with "
            "'blended down' first."
        )
    count = node.stop_node(running)
    report(f"removed what was left of '{running.blend}', which had ended: {count} processes")


def _refuse_missing_gpus(blend: BlendConfig) -> None:
    needed, present = needed_gpus(blend), len(glob("/dev/nvidia[0-9]*"))
    if needed > present:
        raise LaunchError(
            f"The blend '{blend.name}' needs {needed} GPUs and this machine has {present}; deploy "
            "it to a cluster with --address, or try the preset 'demo', which needs none."
        )


def _refuse_missing_folders(blend: BlendConfig) -> None:
    for one in blend.served:
        if isinstance(one, VllmComponent | VllmReward):
            folder = Path(one.engine.model)
            if folder.is_absolute() and not folder.is_dir():
                raise LaunchError(
                    f"Component '{one.id}' cannot start: its model '{folder}' is no folder "
                    "of this machine; correct the path, or write the id of a model."
                )


def needed_gpus(blend: BlendConfig, leaving: Iterable[Served] = ()) -> int:
    """The GPUs that a blend needs to start, with those of components that are still leaving."""
    # All shares are on the cards of one machine, whatever their groups.
    return gpu_shares.gpus(
        ("", one.hardware, one.replicas.min) for one in (*blend.served, *leaving)
    )


def reserved_cpus(blend: BlendConfig, leaving: Iterable[Served] = ()) -> int:
    """Ray's logical CPUs that a blend reserves at most, with those of leaving components."""
    served = [*blend.served, *leaving]
    reserved = math.fsum(map(_reserved, served))
    return math.ceil(reserved + blend.router.cpus * blend.router.replicas.max + 1)


def _reserved(one: Served) -> float:
    if isinstance(one, SimulatedComponent):
        return 1
    # Serve adds one CPU for the replica to the bundle of its engine.
    beside = 0 if isinstance(one, RewardProcess) else 1
    return (one.hardware.cpus + beside) * one.replicas.max


def node_labels(blend: BlendConfig) -> dict[str, str]:
    """The labels of a node that may hold the router and every component of a blend."""
    return {key: value for g in blend.replica_groups for key, value in selector(g).items()}


def _stage(status: AppStatus) -> str:
    if status.status == "RUNNING":
        return "running"
    return "loading" if status.has_deployments else "preparing"


def _fail_if_failed(status: AppStatus, ray_dir: Path | None, began: float) -> None:
    if not status.failure:
        return
    last = status.failure.strip().splitlines()[-1].removeprefix("blended.errors.")
    cause = _engine_cause(status.name, ray_dir, began) if ray_dir else None
    raise LaunchError(f"{_subject(status.name)} cannot start. {cause or last}")


def _engine_cause(app: str, ray_dir: Path, began: float) -> str | None:
    """The first error in the logs of an engine's own processes, which Serve does not pass on.

    Logs that ended before `began` (seconds since the epoch) are those of earlier attempts.
    """
    for path in sorted(ray_dir.glob("session_latest/logs/worker-*.*")):
        if path.stat().st_mtime < began:
            continue
        text = path.read_text(errors="replace")
        if f":actor_name:ServeReplica:{app}:" not in text:
            continue
        for match in _ENGINE_ERROR.finditer(text):
            if not any(consequence in match["cause"] for consequence in _CONSEQUENCES):
                return match["cause"]
    return None


def short(app: str) -> str:
    """An application's name for people: its component's id, `reward`, or `router`."""
    if app == REWARD_APP:
        return app
    return app.removeprefix(COMPONENT_APP_PREFIX) if _is_component(app) else "router"


def _subject(app: str) -> str:
    if app == REWARD_APP:
        return "The reward model"
    return f"Component '{short(app)}'" if _is_component(app) else "The router"


def _is_component(app: str) -> bool:
    return app.startswith(COMPONENT_APP_PREFIX)
