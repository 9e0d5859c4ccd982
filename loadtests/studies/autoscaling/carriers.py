"""Measures the ways of a rate to a policy: python -m loadtests.studies.autoscaling.carriers

The ways are the reports of Serve's replicas to its controller, and a Prometheus beside the cluster.

A component of one replica needs two as soon as there are requests, and one again without requests.
The study times a step from no requests to ten per second, until Serve wants the second replica.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import yaml
from ray.serve.autoscaling_policy import PrometheusQueryMixin
from ray.serve.config import AutoscalingContext

from blended.app import serve_config
from blended.config import BlendConfig
from blended.launch import free_ports
from blended.launch.state import Running
from loadtests.harness.cluster import controllers
from loadtests.harness.open_loop import ScheduledRequest, drive
from loadtests.harness.processes import Unavailable, spawned
from loadtests.harness.provenance import made_by
from loadtests.harness.start import up
from loadtests.harness.targets import ROOT, Place

_QUERY = "sum(increase(ray_blended_draws_total[20s]))"
_STEPS, _RATE, _STEP_S, _WITHIN_S = 4, 10, 15, 60.0
# Until every carrier has reported the end of a step, and no window contains it any more.
_SETTLE_S = 28.0
_POLICY = "loadtests.studies.autoscaling.carriers:PrometheusPolicy"
_APPLICATIONS = "/api/serve/applications/"


class PrometheusPolicy(PrometheusQueryMixin):
    """Two replicas if a Prometheus has requests, by Ray's own client for its queries."""

    def __init__(self, address: str) -> None:
        super().__init__(
            prometheus_address=address, prometheus_queries=[_QUERY], fetch_interval_s=1.0
        )

    def __call__(self, ctx: AutoscalingContext) -> tuple[int, dict[str, Any]]:
        """One replica, or two."""
        return 2 if (self.prometheus_metrics or {}).get(_QUERY, 0) > 0 else 1, {}


@dataclass(frozen=True)
class Carrier:
    """A way for the rate: Serve's reports at an interval in seconds, or a Prometheus."""

    says: str
    report_s: float = 1.0
    prometheus: str | None = None


def blend() -> BlendConfig:
    """One component that needs two replicas under any load, and gives one back at once."""
    replicas = {"max": 2, "capacity": [0.001, 1000], "downscale_delay_s": 0}
    simulation = {"ttft_ms": 10, "itl_ms": 1, "tokens": 2}
    component = {"id": "a", "kind": "simulated", "simulation": simulation, "replicas": replicas}
    router = {"cpus": 0.1, "replicas": {"min": 1, "max": 1, "rate_window_s": 6}}
    return BlendConfig.model_validate(
        {"name": "carriers", "components": [component], "router": router}
    )


def measured(place: Place) -> dict[str, dict[str, float]]:
    """By carrier: median and longest seconds from the step to the decision, and their cost.

    The cost is CPU time of Serve's controller while requests come, in percent of one core.

    Raises:
        Unavailable: the blend did not come up; nothing is left running.
    """
    config = blend()
    # Serve imports the policy below on the cluster, where only the package is installed.
    os.environ["PYTHONPATH"] = str(ROOT)
    with ExitStack() as stack:
        target = up(config.model_dump(mode="json", exclude_none=True), place, stack)
        state = place.folder / f"state-{config.name}"
        running = json.loads((state / "running.json").read_text())
        headers = {"Authorization": f"Bearer {(state / 'ray_token').read_text()}"}
        http = httpx.Client(base_url=running["dashboard_url"], headers=headers, timeout=60)
        stack.enter_context(http)
        controller = psutil.Process(*controllers(Running(**running)))
        site = _Site(config, target, http, controller)
        address = stack.enter_context(_prometheus(place.folder, running["metrics_url"]))
        carriers = (
            Carrier("Serve's reports, every 10 s", report_s=10),
            Carrier("Serve's reports, every second"),
            Carrier("a Prometheus that scrapes every 2 s", prometheus=address),
        )
        return {carrier.says: asyncio.run(site.figures(carrier)) for carrier in carriers}


@dataclass(frozen=True)
class _Site:
    config: BlendConfig
    target: Mapping[str, Any]
    http: httpx.Client
    controller: psutil.Process

    async def figures(self, carrier: Carrier) -> dict[str, float]:
        self._deploy(carrier)
        await self._settle()
        steps, cpu = [], []
        for _ in range(_STEPS):
            asks = [ScheduledRequest(number / _RATE, 4, 4) for number in range(_RATE * _STEP_S)]
            before, began = self._controller_s(), time.monotonic()
            url, headers = self.target["url"], dict(self.target["headers"])
            asking = asyncio.create_task(drive(url, headers, self.config.name, asks))
            steps.append(await self._until(2))
            await asking
            cpu.append((self._controller_s() - before) / (time.monotonic() - began))
            await self._settle()
        print(f"{carrier.says}: {[round(step, 1) for step in steps]} s", file=sys.stderr)
        return {
            "step_to_decision_median_s": round(median(steps), 1),
            "step_to_decision_longest_s": round(max(steps), 1),
            "controller_cpu_percent": round(100 * median(cpu), 1),
        }

    def _deploy(self, carrier: Carrier) -> None:
        wanted = serve_config(self.config, httpx.URL(self.target["url"]).port or 0)
        component, router = (a["deployments"][0] for a in wanted["applications"])
        router["autoscaling_config"]["metrics_interval_s"] = carrier.report_s
        if carrier.prometheus is not None:
            arguments = {"address": carrier.prometheus}
            policy = {"policy_function": _POLICY, "policy_kwargs": arguments}
            component["autoscaling_config"]["policy"] = policy
        self.http.put(_APPLICATIONS, json=wanted).raise_for_status()

    async def _settle(self) -> None:
        await asyncio.sleep(_SETTLE_S)
        await self._until(1)

    async def _until(self, replicas: int) -> float:
        """Wait until Serve wants this number of replicas; returns the seconds."""
        began = time.monotonic()
        while await asyncio.to_thread(self._wanted) != replicas:
            if time.monotonic() > began + _WITHIN_S:
                raise Unavailable(f"did not want {replicas} replicas within {_WITHIN_S:g} s")
            await asyncio.sleep(0.1)
        return time.monotonic() - began

    def _wanted(self) -> int:
        apps = self.http.get(_APPLICATIONS).raise_for_status().json()["applications"]
        deployment = apps["component-a"]["deployments"].get("Simulated", {})
        return int(deployment.get("target_num_replicas", 0))

    def _controller_s(self) -> float:
        """CPU seconds of Serve's controller so far."""
        return sum(self.controller.cpu_times()[:2])


@contextmanager
def _prometheus(folder: Path, metrics_url: str) -> Iterator[str]:
    """The address of a Prometheus that reads Ray's metrics every two seconds."""
    url, address = urlsplit(metrics_url), f"127.0.0.1:{free_ports.port()}"
    scraped = {
        "job_name": "ray",
        "metrics_path": url.path,
        "static_configs": [{"targets": [url.netloc]}],
    }
    config = folder / "prometheus.yaml"
    config.write_text(
        yaml.safe_dump({"global": {"scrape_interval": "2s"}, "scrape_configs": [scraped]})
    )
    command = [
        "prometheus",
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address={address}",
    ]
    with spawned(command, folder / "prometheus.log"):
        yield f"http://{address}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure all carriers; returns the exit status: 1 if the blend did not come up."""
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.studies.autoscaling.carriers", description=__doc__
    )
    parser.add_argument("--save", type=Path, help="the JSON file")
    options = parser.parse_args(arguments)
    try:
        with tempfile.TemporaryDirectory(prefix="rate-") as folder:
            found = measured(Place(Path(folder), {}))
    except Unavailable as exc:
        print(f"The carriers could not be measured: {exc}", file=sys.stderr)
        return 1
    result = {
        **made_by("loadtests.studies.autoscaling.carriers"),
        "steps": _STEPS,
        "carriers": found,
    }
    if options.save:
        options.save.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
