"""A cluster of simulated components that this folder's tests share, each with a blend of its own.

The blends' components have different ids: a replaced component would first end its responses.
"""

import time
from collections.abc import Iterator
from http import HTTPStatus

import httpx
import pytest

from blended.config import BlendConfig, loading
from loadtests.harness.postgres import Postgres, postgres
from tests.live.conftest import Live, running
from tests.support import HELLO

# The machine's resources that are reserved for any of the blends.
FIRST = """
name: first
router: {cpus: 4, replicas: {min: 1, max: 1}}
components: [{id: one, kind: simulated}]
"""
_WITHIN_S = 180


@pytest.fixture(scope="package")
def database() -> Iterator[Postgres]:
    """The PostgreSQL server of the cluster's journal."""
    with postgres() as server:
        yield server


@pytest.fixture(scope="package")
def live(database: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Ray, Serve, and a placeholder blend."""
    folder = tmp_path_factory.mktemp("simulated")
    path = folder / "first.yaml"
    path.write_text(FIRST)
    environment = {
        "BLENDED_JOURNAL_URL": database.url,
        "RAY_metrics_report_interval_ms": "2000",  # else Ray's metrics are 10 s old
    }
    with running(str(path), folder / "state", environment) as live:
        yield live


def deploy(live: Live, text: str) -> BlendConfig:
    """Deploy this blend, and wait until every router replica has seen all components."""
    blend = loading.parse(text, "the test's blend")
    live.deploy(blend)
    deadline = time.monotonic() + _WITHIN_S
    with httpx.Client(headers={"Authorization": f"Bearer {live.api_key}"}, timeout=60) as http:
        while not _runs(live, blend, http):
            assert time.monotonic() < deadline, f"'{blend.name}' is not up after {_WITHIN_S} s"
            time.sleep(0.5)
    return blend


def _runs(live: Live, blend: BlendConfig, http: httpx.Client) -> bool:
    names = {"blended", *(f"component-{component.id}" for component in blend.components)}
    statuses = {name: app["status"] for name, app in live.applications().items()}
    if {name: statuses.get(name) for name in names} != dict.fromkeys(names, "RUNNING"):
        return False
    bodies = [{"model": model, "messages": HELLO} for model in (blend.name, *blend.weights)]
    url = f"{live.url}/v1/chat/completions"
    if not all(http.post(url, json=b).status_code == HTTPStatus.OK for b in bodies):
        return False
    seen = live.metric("ray_blended_component_available", by="component")
    return all(seen.get(c.id) == blend.router.replicas.min for c in blend.components)
