"""Real clusters, started with the command line as a user would, each in its own state folder."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from blended.app import serve_config
from blended.config import BlendConfig
from blended.launch import free_ports
from blended.launch.state import Running
from loadtests.harness import cluster

START_TIMEOUT_S = 600


@dataclass(frozen=True)
class Live:
    """A running blend: its state from `blended up`, and its keys."""

    running: Running
    env: dict[str, str]
    api_key: str
    internal_key: str
    ray_token: str

    @property
    def url(self) -> str:
        """The API's address, without a path."""
        return self.running.url

    @property
    def logs(self) -> Path:
        """The folder with the logs of Ray and of all processes on it."""
        return self.running.logs

    def cli(self, *arguments: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
        """Run the command line against this blend."""
        return run_cli(self.env, *arguments, stdin=stdin)

    def applications(self) -> dict[str, Any]:
        """Ray Serve's report on the applications."""
        return cluster.applications(self.running, self.ray_token)

    def deploy(self, blend: BlendConfig) -> None:
        """Deploy `blend`, as KubeRay would; returns before it runs."""
        config = serve_config(blend, int(self.url.rsplit(":", 1)[1]))
        headers = {"Authorization": f"Bearer {self.ray_token}"}
        url = f"{self.running.dashboard_url}/api/serve/applications/"
        httpx.put(url, json=config, headers=headers, timeout=60).raise_for_status()

    def pids(self, app: str, deployment: str) -> list[int]:
        """The processes of a deployment's running replicas; none until Serve reports it."""
        return cluster.replicas(self.running, self.ray_token, app, deployment)

    def metric(self, name: str, by: str, **labels: str) -> dict[str, float]:
        """A metric of Ray's Prometheus endpoint where `labels` hold, summed by the label `by`."""
        sums: dict[str, float] = {}
        for line in httpx.get(self.running.metrics_url, timeout=30).text.splitlines():
            match = re.fullmatch(rf"{name}{{(.*)}} (\S+)", line)
            found = dict(re.findall(r'(\w+)="([^"]*)"', match[1])) if match else {}
            if match and all(found.get(key) == value for key, value in labels.items()):
                sums[found[by]] = sums.get(found[by], 0.0) + float(match[2])
        return sums


def run_cli(
    env: dict[str, str], *arguments: str, stdin: str = ""
) -> "subprocess.CompletedProcess[str]":
    """Run `blended` in a process of its own and return what it printed."""
    command = [str(Path(sys.executable).with_name("blended")), *arguments]
    return subprocess.run(
        command, env=env, input=stdin, capture_output=True, text=True, timeout=START_TIMEOUT_S
    )


def own_state(folder: Path) -> dict[str, str]:
    """An environment in which the command line keeps its state in `folder` and makes its keys."""
    own = ("BLENDED_", "VLLM_API_KEY", "RAY_AUTH_TOKEN", "RAY_ADDRESS")
    env = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    return {**env, "BLENDED_STATE_DIR": str(folder), "COLUMNS": "200"}


@contextmanager
def running(
    source: str, folder: Path, environment: Mapping[str, str] | None = None
) -> Iterator[Live]:
    """Bring a blend up with `blended up --detach`; stop it with `blended down`."""
    env = own_state(folder) | dict(environment or {})
    up = run_cli(env, "up", source, "--port", str(free_ports.port()), "--detach")
    try:
        assert up.returncode == 0, up.stdout + up.stderr
        yield Live(
            running=Running(**json.loads((folder / "running.json").read_text())),
            env=env,
            api_key=(folder / "api_key").read_text(),
            internal_key=(folder / "internal_key").read_text(),
            ray_token=(folder / "ray_token").read_text(),
        )
    finally:
        run_cli(env, "down")


def deploy_application_of_others(live: Live) -> None:
    """Add an application that this project did not deploy; returns once it runs."""
    url = f"{live.running.dashboard_url}/api/serve/applications/"
    headers = {"Authorization": f"Bearer {live.ray_token}"}
    configs: list[Any] = [app["deployed_app_config"] for app in live.applications().values()]
    others = {
        "name": "others",
        "route_prefix": "/others",
        "import_path": "blended.app:build_simulated",
        "args": {"id": "others", "simulation": {}},
    }
    body = {"applications": [*configs, others]}
    httpx.put(url, json=body, headers=headers, timeout=60).raise_for_status()
    deadline = time.monotonic() + 60
    while live.applications()["others"]["status"] != "RUNNING":
        assert time.monotonic() < deadline, "the application of others does not start"
        time.sleep(0.2)
