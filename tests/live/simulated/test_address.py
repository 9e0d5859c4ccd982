"""A second cluster: deployed to by its address, and stopped without touching the first."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from loadtests.harness.cluster import listeners
from loadtests.harness.processes import family, runs
from tests.live.conftest import Live, deploy_application_of_others, run_cli, running
from tests.support import HELLO

pytestmark = pytest.mark.ray

Address = tuple[str, int]

ROUTER = "router: {cpus: 0.1, replicas: {min: 1, max: 1}}"
BESIDE = f"name: beside\n{ROUTER}\ncomponents: [{{id: p, kind: simulated}}]\n"
SECOND = BESIDE.replace("beside", "second").replace("]", ", {id: q, kind: simulated}]")


@pytest.fixture(scope="module")
def beside(live: Live, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A second cluster beside the folder's own."""
    assert live
    folder = tmp_path_factory.mktemp("beside")
    for name, text in (("beside", BESIDE), ("second", SECOND)):
        (folder / name).write_text(text)
    with running(str(folder / "beside"), folder / "state") as other:
        yield other


def models(live: Live) -> list[str]:
    """The models of the API, by their ids."""
    headers = {"Authorization": f"Bearer {live.api_key}"}
    listed = httpx.get(f"{live.url}/v1/models", headers=headers, timeout=30).json()["data"]
    return [entry["id"] for entry in listed]


def ask(live: Live, model: str) -> httpx.Response:
    """One response."""
    headers = {"Authorization": f"Bearer {live.api_key}"}
    body = {"model": model, "messages": HELLO}
    return httpx.post(f"{live.url}/v1/chat/completions", json=body, headers=headers, timeout=60)


def test_two_clusters_meet_in_no_port(live: Live, beside: Live) -> None:
    """The other cluster's key would be refused: each client reaches its own router."""
    other = models(live)[0]
    for cluster, model in [(beside, "beside"), (live, other)] * 10:
        assert ask(cluster, model).is_success
    assert shared(listening(beside), listening(live)) == set()


def test_up_and_down_with_an_address(beside: Live) -> None:
    """`--address` replaces and deletes a cluster's blend; other applications stay."""
    folder = Path(beside.env["BLENDED_STATE_DIR"]).parent
    deploy_application_of_others(beside)
    address = ("--address", beside.running.dashboard_url)
    port = beside.url.rsplit(":", 1)[1]
    env = beside.env | {"RAY_AUTH_TOKEN": beside.ray_token}
    up = run_cli(env, "up", str(folder / "second"), *address, "--port", port)

    assert up.returncode == 0, up.stdout + up.stderr
    assert models(beside) == ["second", "p", "q"]
    assert set(beside.applications()) == {"blended", "component-p", "component-q", "others"}

    down = run_cli(env, "down", *address)
    assert down.returncode == 0, down.stdout + down.stderr
    assert "others" in beside.applications()
    assert beside.applications()["others"]["status"] == "RUNNING"

    refused = run_cli(beside.env, "up", str(folder / "second"), *address)
    assert refused.returncode == 1
    assert "RAY_AUTH_TOKEN" in refused.stderr


def test_down_stops_what_up_started_and_nothing_else(live: Live, beside: Live) -> None:
    """After `blended down` the cluster has no process, port or file; the other one goes on."""
    started = family(beside.running.pid)
    assert len(started) > 5
    down = beside.cli("down")

    assert down.returncode == 0, down.stderr
    assert not [p for p in started if runs(p.pid)]
    marker = beside.running.marker
    assert not [p.info for p in psutil.process_iter(["environ"]) if marker in str(p.info)]
    assert not Path(beside.running.temp_dir).exists()
    assert not (Path(beside.env["BLENDED_STATE_DIR"]) / "running.json").exists()
    with pytest.raises(httpx.ConnectError):
        httpx.get(beside.url)
    assert ask(live, models(live)[0]).is_success


def shared(some: set[Address], others: set[Address]) -> set[Address]:
    """Addresses and ports in both; one port at two addresses counts as two."""
    everywhere = {"0.0.0.0", "::"}
    return {
        (ip, port)
        for ip, port in some
        for other, same in others
        if port == same and (ip == other or {ip, other} & everywhere)
    }


def listening(live: Live) -> set[Address]:
    """The addresses and ports on which processes of the cluster listen."""
    return {(at.ip, at.port) for at in listeners(live.running)}
