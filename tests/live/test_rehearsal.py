"""A rendered RayService on real raylets with fake GPUs, scaled by Ray's own autoscaler.

Engines are simulated, as in `python -m cluster.local`; the tests check where replicas run.
"""

import copy
import json
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
import pytest
import yaml

from blended import sse
from blended.config import BlendConfig
from blended.launch import free_ports
from blended.launch.rest import ServeApi
from blended.launch.state import Running
from cluster.manifests import Document, dump, serve_config
from cluster.rayservice import manifests
from cluster.rehearsal import groups_of, rehearsed
from cluster.settings import Settings
from loadtests.harness.cluster import another_node, gcs_port
from tests.live.conftest import own_state

pytestmark = pytest.mark.ray

ROOT = Path(__file__).parents[2]
GROUPS = ("router", "small", "large", "decoy")
WITHIN_S = 180
# The pause between two requests of a client, whose load is not under test.
PAUSE_S = 0.05
# Longer than the wait of any test: a node that ends earlier has ended by itself.
DRAIN_S = 600
# The prefix of the ids of nodes that the autoscaler has added.
FAKE = "fff"


def blend(small: int = 1) -> BlendConfig:
    """`small` has so many replicas of one GPU, `large` has one replica of two GPUs."""
    replicas = {"min": small, "max": small, "upscale_delay_s": 1, "downscale_delay_s": 1}
    small_engine = {"model": "example/small", "accelerator": "L40S"}
    large_engine = {"model": "example/large", "accelerator": "H100", "tensor_parallel_size": 2}
    return BlendConfig.model_validate(
        {
            "name": "pair",
            "components": [
                {"id": "small", "kind": "vllm", "engine": small_engine, "replicas": replicas},
                {"id": "large", "kind": "vllm", "engine": large_engine},
            ],
            "router": {"cpus": 0.5, "replicas": {"min": 1, "max": 1}},
        }
    )


def rayservice(small: int = 1) -> Document:
    """Room for three nodes of `small`, and an unused group with the most GPUs."""
    settings = Settings.model_validate({"idle_timeout_s": 5, "components": {"small": {"gpus": 3}}})
    service, _ = manifests(blend(small), settings)
    groups = service["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    decoy = copy.deepcopy(groups[-1])
    decoy |= {"groupName": "decoy", "labels": {"blended/decoy": "true"}, "priority": 100}
    container = decoy["template"]["spec"]["containers"][0]
    container["resources"]["limits"]["nvidia.com/gpu"] = "8"
    groups.append(decoy)
    return service


@dataclass(frozen=True)
class Rehearsal:
    """A rehearsal cluster, with its Serve REST API."""

    running: Running
    key: str
    api: ServeApi
    http: httpx.Client

    def nodes(self) -> dict[str, int]:
        """The number of nodes, by group."""
        there = Counter(g for found in self.api.nodes() for g in groups_of(found.labels))
        return {group: there[group] for group in GROUPS}

    def replicas(self) -> dict[str, list[Document]]:
        """The running replicas by application, as Serve reports them."""
        apps = self.http.get("/api/serve/applications/").raise_for_status().json()["applications"]
        return {
            name: [
                replica
                for deployment in app["deployments"].values()
                for replica in deployment["replicas"]
                if replica["state"] == "RUNNING"
            ]
            for name, app in apps.items()
        }

    def deploy(self, service: Document) -> None:
        """Deploy the Serve config of another RayService, as the operator does."""
        port = int(self.running.url.rsplit(":", 1)[1])
        self.api.deploy(rehearsed(service, port))

    def run(self) -> bool:
        """Whether all applications run."""
        statuses = self.api.statuses()
        return len(statuses) == 3 and all(status.status == "RUNNING" for status in statuses)


@pytest.fixture(scope="module")
def rehearsal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    """The rehearsal of the RayService."""
    with rehearsing(rayservice(), tmp_path_factory.mktemp("rehearsal")) as found:
        yield found


@contextmanager
def rehearsing(service: Document, folder: Path) -> Iterator[Rehearsal]:
    """`python -m cluster.local` with a RayService."""
    (folder / "rayservice.yaml").write_text(dump(service))
    command = [sys.executable, "-m", "cluster.local", str(folder / "rayservice.yaml")]
    with (folder / "output").open("w") as output:
        process = subprocess.Popen(
            [*command, "--port", str(free_ports.port())],
            env=own_state(folder),
            cwd=ROOT,
            stdout=output,
            stderr=output,
        )
    try:
        becomes(lambda: "nodes:" in (folder / "output").read_text())
        running = Running(**json.loads((folder / "running.json").read_text()))
        token, key = ((folder / name).read_text() for name in ("ray_token", "api_key"))
        headers = {"Authorization": f"Bearer {token}"}
        with (
            ServeApi(running.dashboard_url, token) as api,
            httpx.Client(base_url=running.dashboard_url, headers=headers, timeout=30) as http,
        ):
            yield Rehearsal(running, key, api, http)
    finally:
        process.terminate()
        process.wait(60)


@dataclass
class Talk:
    """The results of a client that keeps asking: the components that answered, and the failures."""

    answered: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)


@contextmanager
def talking(rehearsal: Rehearsal, model: str = "pair") -> Iterator[Talk]:
    """A client that asks one question after another until the block ends."""
    talk, over = Talk(), threading.Event()

    def ask() -> None:
        headers = {"Authorization": f"Bearer {rehearsal.key}"}
        body = {"model": model, "messages": [{"role": "user", "content": "Hello!"}]}
        with httpx.Client(base_url=rehearsal.running.url, headers=headers, timeout=60) as http:
            while not over.wait(PAUSE_S):
                response = http.post("/v1/chat/completions", json=body)
                if response.status_code == 200:
                    talk.answered[response.headers.get("x-blended-component", "?")] += 1
                else:
                    talk.failed.append(response.text)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield talk
    finally:
        over.set()
        thread.join()


def becomes(condition: Callable[[], bool]) -> None:
    """Wait until a condition on the cluster holds."""
    deadline = time.monotonic() + WITHIN_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {WITHIN_S} s"
        time.sleep(0.5)


def test_every_group_scales_from_zero_to_one_node(rehearsal: Rehearsal) -> None:
    """Every replica is on a node of its own group, the head has none, the decoy stays empty."""
    becomes(rehearsal.run)

    assert rehearsal.nodes() == {"router": 1, "small": 1, "large": 1, "decoy": 0}
    group_of = {found.id: groups_of(found.labels) for found in rehearsal.api.nodes()}
    places = {
        app: [group_of[replica["node_id"]] for replica in replicas]
        for app, replicas in rehearsal.replicas().items()
    }
    assert places == {
        "blended": [["router"]],
        "component-small": [["small"]],
        "component-large": [["large"]],
    }


def test_tensor_parallelism_lands_on_one_node(rehearsal: Rehearsal) -> None:
    """Both workers of `large` hold a GPU of one node, which has two."""
    (large,) = (n for n in rehearsal.api.nodes() if groups_of(n.labels) == ["large"])
    answer = rehearsal.http.get("/api/v0/placement_groups", params={"detail": True}).json()
    groups = [g for g in answer["data"]["result"]["result"] if g["state"] == "CREATED"]
    bundles = [b for group in groups for b in group["bundles"] if b["node_id"] == large.id]

    assert large.resources["GPU"] == 2
    assert [bundle["unit_resources"]["GPU"] for bundle in bundles] == [1, 1]


def test_replicas_and_nodes_follow_the_config(rehearsal: Rehearsal) -> None:
    """From one to three and back by the Serve config alone, and every request is answered."""
    before = rehearsal.replicas()
    with talking(rehearsal) as talk:
        rehearsal.deploy(rayservice(small=3))
        becomes(lambda: len(rehearsal.replicas()["component-small"]) == 3)
        assert rehearsal.nodes() == {"router": 1, "small": 3, "large": 1, "decoy": 0}

        rehearsal.deploy(rayservice(small=1))
        becomes(lambda: rehearsal.nodes()["small"] == 1)
    after = rehearsal.replicas()

    assert talk.failed == []
    assert sum(talk.answered.values()) > 50
    for app in ("blended", "component-large"):
        assert [r["pid"] for r in before[app]] == [r["pid"] for r in after[app]]
    assert rehearsal.nodes() == {"router": 1, "small": 1, "large": 1, "decoy": 0}


@contextmanager
def node_of_small(rehearsal: Rehearsal, folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A node of `small`, started by `ray start` as in every pod of a RayService."""
    fakes = ("RAY_CLOUD_INSTANCE_ID", "RAY_OVERRIDE_NODE_ID_FOR_TESTING", "RAY_NODE_TYPE_NAME")
    environment = psutil.Process(rehearsal.running.pid).environ()
    environment = {k: v for k, v in environment.items() if k not in fakes}
    environment["RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"] = "60"
    options = [
        *("--labels=blended/small=true", "--num-cpus=2", "--num-gpus=1"),
        '--resources={"accelerator_type:L40S": 1}',
    ]
    with another_node(rehearsal.running, folder / "node.log", environment, options) as process:
        yield process


def slow(service: Document, port: int) -> Document:
    """The Serve config with a `small` that takes six seconds for sixty tokens."""
    config = rehearsed(service, port)
    simulation = config["applications"][0]["args"]["simulation"]
    simulation |= {"itl_ms": 100, "tokens": 100_000, "jitter": 0}
    return config


def stream(rehearsal: Rehearsal, began: threading.Barrier) -> bytes:
    """The last event's data of a streamed response of `small`; waits for others once begun."""
    headers = {"Authorization": f"Bearer {rehearsal.key}"}
    messages = [{"role": "user", "content": "Hello!"}]
    body = {"model": "small", "messages": messages, "stream": True, "max_tokens": 60}
    url = f"{rehearsal.running.url}/v1/chat/completions"
    last = b""
    with httpx.stream("POST", url, json=body, headers=headers, timeout=60) as response:
        for event in sse.events(response.iter_bytes()):
            if not last:
                began.wait(30)
            last = event.data
    return last


def test_a_node_that_is_told_to_end_finishes_its_responses(
    rehearsal: Rehearsal, tmp_path: Path
) -> None:
    """Its replica moves, its streams go on to their end, and no request is refused."""
    port = int(rehearsal.running.url.rsplit(":", 1)[1])
    with node_of_small(rehearsal, tmp_path) as process:
        becomes(lambda: rehearsal.nodes()["small"] == 2)
        rehearsal.api.deploy(slow(rayservice(small=2), port))
        becomes(lambda: len(places(rehearsal)) == 2)
        ending = {place for place in places(rehearsal) if not place.startswith(FAKE)}
        began = threading.Barrier(9)
        with talking(rehearsal) as talk, ThreadPoolExecutor(8) as pool:
            streams = [pool.submit(stream, rehearsal, began) for _ in range(8)]
            began.wait(30)
            process.send_signal(signal.SIGTERM)
            ends = [running.result() for running in streams]
            becomes(lambda: len(places(rehearsal) - ending) == 2)

    assert len(ending) == 1
    assert ends == [sse.DONE] * 8
    assert talk.failed == []


def places(rehearsal: Rehearsal) -> set[str]:
    """The nodes with a replica of `small` that runs."""
    return {replica["node_id"] for replica in rehearsal.replicas()["component-small"]}


def drain(rehearsal: Rehearsal, node_id: str) -> None:
    """Tell Ray that a node will end, as a pod does when Kubernetes ends it."""
    environment = psutil.Process(rehearsal.running.pid).environ()
    command = [
        *(str(Path(sys.executable).with_name("ray")), "drain-node"),
        *(f"--address=127.0.0.1:{gcs_port(rehearsal.running)}", f"--node-id={node_id}"),
        *("--reason=DRAIN_NODE_REASON_PREEMPTION", "--reason-message=The pod ends."),
        f"--deadline-remaining-seconds={DRAIN_S}",
    ]
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=60)


def home(rehearsal: Rehearsal, app: str) -> set[str]:
    """The nodes with a replica of an application that runs."""
    return {replica["node_id"] for replica in rehearsal.replicas()[app]}


def most_nodes_until(rehearsal: Rehearsal, group: str, condition: Callable[[], bool]) -> int:
    """The most nodes that a group has at once until a condition holds."""
    seen = {0}

    def watched() -> bool:
        seen.add(rehearsal.nodes()[group])
        return condition()

    becomes(watched)
    return max(seen)


def test_a_spare_pod_takes_the_replica_of_one_that_drains(rehearsal: Rehearsal) -> None:
    """The router's group has room for one replica; the old node ends once idle, before it must.

    No request is refused meanwhile.
    """
    (old,) = home(rehearsal, "blended")
    with talking(rehearsal) as talk:
        drain(rehearsal, old)
        most = most_nodes_until(
            rehearsal, "router", lambda: bool(home(rehearsal, "blended") - {old})
        )
        becomes(lambda: rehearsal.nodes()["router"] == 1)

    assert most == 2
    assert talk.failed == []


def test_a_group_at_its_budget_has_no_new_node_before_the_old_one_has_gone(
    rehearsal: Rehearsal,
) -> None:
    """`large` may have one node and no spare; the blend goes on without it."""
    (old,) = home(rehearsal, "component-large")
    with talking(rehearsal) as talk:
        drain(rehearsal, old)
        most = most_nodes_until(
            rehearsal, "large", lambda: bool(home(rehearsal, "component-large") - {old})
        )

    assert most == 1
    assert talk.failed == []


def test_nothing_but_the_serve_config_was_changed() -> None:
    """The manifests for one replica and for three differ in the Serve config only."""
    one, three = rayservice(small=1), rayservice(small=3)

    assert serve_config(one) != serve_config(three)
    assert yaml.safe_dump(one["spec"]["rayClusterConfig"]) == yaml.safe_dump(
        three["spec"]["rayClusterConfig"]
    )
