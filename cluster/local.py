"""Rehearses a blend's cluster on this machine: python -m cluster.local BLEND [--nodes qwen=2,…]

BLEND is a preset, a blend's file, or a RayService as `cluster.render` or kustomize wrote it. Every
pod of it becomes a node with fake GPUs, and Ray's own autoscaler adds and removes nodes as replicas
come and go. Engines are simulated; the router, HAProxy, placement and autoscaling are real.
`--nodes` bounds groups, to rehearse a shortage of GPUs. The program prints every change and serves
until Ctrl-C (`blended chat` finds the blend, and a load test can use it).
"""

import argparse
import signal
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from blended.config.loading import load, presets
from blended.errors import BlendedError, ConfigError
from blended.launch import node, state
from blended.launch.rest import ServeApi
from blended.launch.up import refuse_second, short
from cluster import settings
from cluster.manifests import Document, groups, load_file, of_kind
from cluster.rayservice import manifests
from cluster.rehearsal import further, groups_of, rehearsed

_POLL_S = 1.0


def read(source: str, settings_file: Path | None) -> Document:
    """The RayService in a source, or rendered from it.

    Raises:
        ConfigError: the source does not exist, or it is wrong.
    """
    if source not in presets() and (found := of_kind(load_file(Path(source)), "RayService")):
        return found[0]
    service, _ = manifests(load(source), settings.load(settings_file))
    return service


def bounded(service: Document, nodes: Mapping[str, int]) -> Document:
    """The RayService with at most so many nodes in these groups.

    Raises:
        ConfigError: there is no such group.
    """
    workers = {group.name: group.spec for group in groups(service) if not group.head}
    for name, count in nodes.items():
        if name not in workers:
            raise ConfigError(f"There is no group '{name}'; there are {', '.join(workers)}.")
        workers[name]["maxReplicas"] = count
    return service


def watch(service: Document, api: ServeApi, once: bool) -> None:
    """Print nodes and applications whenever they change; with `once` until all of them run."""
    began, shown = time.monotonic(), ""
    most = {group.name: group.spec["maxReplicas"] for group in groups(service) if not group.head}
    while True:
        statuses = api.statuses()
        there = Counter(g for found in api.nodes() for g in groups_of(found.labels))
        nodes = ", ".join(f"{name} {there[name]}/{limit}" for name, limit in most.items())
        apps = ", ".join(f"{short(s.name)} {s.status.lower()}" for s in statuses)
        if (line := f"nodes: {nodes}; {apps}") != shown:
            shown = line
            print(f"{time.monotonic() - began:6.1f} s  {line}", flush=True)
        if once and statuses and all(s.status == "RUNNING" for s in statuses):
            return
        time.sleep(_POLL_S)


def main(arguments: Sequence[str] | None = None) -> int:
    """Rehearse; returns the exit status: 2 for mistakes."""
    options = _options(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        service = bounded(read(options.source, options.settings), options.nodes)
        config = rehearsed(service, options.port)
        refuse_second(partial(print, flush=True))
        name = str(service["metadata"]["name"])
        running = node.start_node(name, options.port, 0, {}, partial(further, service))
    except BlendedError as exc:
        print(exc, file=sys.stderr)
        return 2
    print(f"SIMULATED engines behind {running.url}/v1, Ray's dashboard at {running.dashboard_url}")
    try:
        with ServeApi(running.dashboard_url, state.ray_token()) as api:
            # The call that KubeRay's operator makes.
            api.deploy(config)
            watch(service, api, options.once)
    except KeyboardInterrupt:
        print()
    except BlendedError as exc:
        print(exc, file=sys.stderr)
        return 2
    finally:
        node.stop_node(running)
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m cluster.local", description=__doc__)
    parser.add_argument("source", metavar="BLEND", help="a preset, a file, or a RayService")
    parser.add_argument("--settings", type=Path, help="the settings of cluster.render")
    parser.add_argument("--nodes", type=_nodes, default={}, help="GROUP=MOST,…: fewer nodes")
    parser.add_argument("--port", type=int, default=8000, help="of the API")
    parser.add_argument("--once", action="store_true", help="stop when everything runs")
    return parser.parse_args(arguments)


def _nodes(text: str) -> dict[str, int]:
    return {
        name: int(count) for name, _, count in (part.partition("=") for part in text.split(","))
    }


if __name__ == "__main__":
    sys.exit(main())
