"""Deploying to a cluster that runs already, where others may have applications too."""

import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.live.conftest import Live, run_cli, running

pytestmark = pytest.mark.ray

ROUTER = "router: {cpus: 0.1, replicas: {min: 1, max: 1}}"
FIRST = f"name: first\n{ROUTER}\ncomponents: [{{id: a, kind: simulated}}]\n"
SECOND = FIRST.replace("first", "second").replace("]", ", {id: b, kind: simulated}]")


def test_up_and_down_with_an_address(tmp_path: Path) -> None:
    """`--address` replaces and deletes the blend of a cluster; others' applications stay."""
    for name, text in (("first", FIRST), ("second", SECOND)):
        (tmp_path / name).write_text(text)
    with running(str(tmp_path / "first"), tmp_path / "state") as live:
        deploy_application_of_others(live)
        address = ("--address", live.running.dashboard_url)
        port = live.url.rsplit(":", 1)[1]
        env = live.env | {"RAY_AUTH_TOKEN": live.ray_token}
        up = run_cli(env, "up", str(tmp_path / "second"), *address, "--port", port)

        assert up.returncode == 0, up.stdout + up.stderr
        assert models(live) == ["second", "a", "b"]
        assert set(live.applications()) == {"blended", "component-a", "component-b", "others"}

        down = run_cli(env, "down", *address)
        assert down.returncode == 0, down.stdout + down.stderr
        assert "others" in live.applications()
        assert live.applications()["others"]["status"] == "RUNNING"

        refused = run_cli(live.env, "up", str(tmp_path / "second"), *address)
        assert refused.returncode == 1
        assert "RAY_AUTH_TOKEN" in refused.stderr


def models(live: Live) -> list[str]:
    headers = {"Authorization": f"Bearer {live.api_key}"}
    listed = httpx.get(f"{live.url}/v1/models", headers=headers, timeout=30).json()["data"]
    return [entry["id"] for entry in listed]


def deploy_application_of_others(live: Live) -> None:
    """Add an application to the cluster that this project did not deploy; returns once it runs."""
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
