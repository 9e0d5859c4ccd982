"""The rendered Serve config of the development overlay, on a real Ray with the real demo models."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
import yaml

from cluster.containers import HTTP_PORT
from cluster.manifests import Document, groups, load_file, serve_config
from cluster.render import K8S
from tests.debian import program
from tests.live.conftest import Live, running

pytestmark = pytest.mark.ray

COMPONENTS = ("ember", "flint", "willow")
RUNNING = dict.fromkeys(("blended", *(f"component-{name}" for name in COMPONENTS)), "RUNNING")
WITHIN_S = 300


def node_of(groups: tuple[str, ...]) -> Document:
    """A blend on one node with the labels of these groups, which starts almost at once."""
    components = [
        {"id": f"on-{group}", "kind": "simulated", "simulation": {"replica_group": group}}
        for group in groups
    ]
    router = {"cpus": 0.1, "replica_group": "router", "replicas": {"min": 1, "max": 1}}
    return {"name": "labels", "components": components, "router": router}


def rendered(port: int) -> Document:
    """The Serve config in k8s/demo with another port, because its own may be taken here."""
    (service,) = load_file(K8S / "demo" / "rayservice.yaml")
    config = serve_config(service)
    (router,) = config["applications"][-1]["deployments"]
    assert config["http_options"]["port"] == HTTP_PORT
    assert router["user_config"]["components_url"] == f"http://127.0.0.1:{HTTP_PORT}"
    config["http_options"]["port"] = port
    router["user_config"]["components_url"] = f"http://127.0.0.1:{port}"
    return config


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Ray on one node with the labels of all groups, and the rendered config on it."""
    folder = tmp_path_factory.mktemp("manifests")
    path: Path = folder / "blend.yaml"
    path.write_text(yaml.safe_dump(node_of(COMPONENTS)))
    with running(str(path), folder / "state") as live:
        headers = {"Authorization": f"Bearer {live.ray_token}"}
        url = f"{live.running.dashboard_url}/api/serve/applications/"
        # The call that KubeRay's operator makes.
        config = rendered(int(live.url.rsplit(":", 1)[1]))
        httpx.put(url, json=config, headers=headers, timeout=60).raise_for_status()
        deadline = time.monotonic() + WITHIN_S
        while statuses(live) != RUNNING:
            assert time.monotonic() < deadline, statuses(live)
            time.sleep(1)
        yield live


def statuses(live: Live) -> dict[str, str]:
    return {name: app["status"] for name, app in live.applications().items()}


def ask(live: Live, model: str) -> httpx.Response:
    """Ask a model one question; HAProxy may know a new replica a moment later than Serve."""
    body = {"model": model, "messages": [{"role": "user", "content": "Hello! How are you?"}]}
    headers = {"Authorization": f"Bearer {live.api_key}"}
    deadline = time.monotonic() + 30
    while True:
        response = httpx.post(
            f"{live.url}/v1/chat/completions", json=body, headers=headers, timeout=60
        )
        if response.status_code == 200 or time.monotonic() > deadline:
            return response
        time.sleep(1)


@pytest.mark.parametrize("component", COMPONENTS)
def test_every_component_answers_as_rendered(live: Live, component: str) -> None:
    """A real engine answers with text, from the model in the package."""
    response = ask(live, component)

    assert response.status_code == 200, response.text
    document = response.json()
    assert document["usage"]["completion_tokens"] > 1
    assert document["choices"][0]["message"]["content"].strip()


def test_the_readiness_probe_passes_where_replicas_are(live: Live) -> None:
    """The pods' own command, run by bash with wget against this node's ports, succeeds."""
    program("wget", "wget")
    (service,) = load_file(K8S / "demo" / "rayservice.yaml")
    (probe,) = {
        group.ray_container["readinessProbe"]["exec"]["command"][-1]
        for group in groups(service)
        if not group.head
    }
    start = psutil.Process(live.running.pid).cmdline()
    (agent,) = (word for word in start if word.startswith("--dashboard-agent-listen-port="))
    here = probe.replace("52365", agent.partition("=")[2])
    here = here.replace(str(HTTP_PORT), live.url.rsplit(":", 1)[1])

    done = subprocess.run(["bash", "-c", here], capture_output=True, text=True, timeout=30)

    assert done.returncode == 0, done.stderr
    assert subprocess.run(["bash", "-c", here.replace("-/healthz", "-/nothing")]).returncode != 0


def test_the_blend_answers_as_rendered(live: Live) -> None:
    """All applications run, and one of the components answers for the blend's name."""
    response = ask(live, "demo")

    assert response.status_code == 200, response.text
    assert response.headers["x-blended-component"] in COMPONENTS
    assert statuses(live) == RUNNING
    pickers = live.applications()["component-ember"]["deployments"]["LLMRouter"]
    options = pickers["deployment_config"]["ray_actor_options"]
    assert options["label_selector"] == {"blended/router": "true"}
