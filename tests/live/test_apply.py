"""Live changes of a blend on a cluster, under load, beside an application of another project."""

import asyncio
import json
import os
import pty
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from blended import sse
from tests.live.conftest import Live, deploy_application_of_others, running

pytestmark = pytest.mark.ray

HELLO = [{"role": "user", "content": "Hello!"}]
# Ray gives a replica at least 30 s to end; no test here needs such a wait.
SOONER = {"RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "5"}
LONG_STREAM_TOKENS = 120
CLIENTS = 4


@dataclass(frozen=True)
class Cluster:
    """A running blend and a folder for the files that are applied to it."""

    live: Live
    folder: Path

    def write(self, *components: dict[str, Any], **fields: Any) -> str:
        """Write a file with a blend of these components; returns its path."""
        path = self.folder / "blend.yaml"
        path.write_text(json.dumps(blend(*components, **fields)))
        return str(path)

    async def apply(self, *components: dict[str, Any], **fields: Any) -> str:
        """Apply a blend, which must succeed; returns the printed text."""
        path = self.write(*components, **fields)
        done = await asyncio.to_thread(self.live.cli, "apply", path, "--yes")
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def pids(self) -> dict[str, list[int]]:
        """The processes that serve each application."""
        return {
            name: sorted(
                replica["pid"]
                for deployment in app["deployments"].values()
                for replica in deployment["replicas"]
                if replica["state"] == "RUNNING"
            )
            for name, app in self.live.applications().items()
        }

    def configs(self) -> dict[str, Any]:
        """The configuration of each application."""
        return {n: app["deployed_app_config"] for n, app in self.live.applications().items()}


@dataclass
class Load:
    """The components that answered, and the statuses of requests that failed, so far."""

    components: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    async def answered(self, count: int) -> list[str]:
        """Wait for more responses; returns the components of those that began from now on."""
        # Every client may already have one request under way.
        begun = len(self.components) + CLIENTS
        while len(self.components) < begun + count:
            assert not self.failures
            await asyncio.sleep(0.02)
        return self.components[begun:]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two components behind two router replicas, and another project's application."""
    folder = tmp_path_factory.mktemp("apply")
    (folder / "first").write_text(json.dumps(blend(component("a"), component("b"))))
    with running(str(folder / "first"), folder / "state", SOONER) as live:
        deploy_application_of_others(live)
        yield Cluster(live, folder)


def blend(*components: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A blend that names the component of every response."""
    return {
        "name": "first",
        "api": {"reveal_component": True},
        "router": {"cpus": 0.1, "replicas": {"min": 2, "max": 2}},
        "components": list(components),
        **fields,
    }


def component(name: str, **simulation: Any) -> dict[str, Any]:
    """A simulated component without a length of its own: requests limit the response."""
    fields = {"ttft_ms": 5, "itl_ms": 5, "jitter": 0, "tokens": 100_000, **simulation}
    return {"id": name, "kind": "simulated", "simulation": fields}


@asynccontextmanager
async def load(live: Live) -> AsyncIterator[Load]:
    """Clients that ask the blend one question after another, until the block ends."""
    seen = Load()
    async with client(live) as http:
        tasks = [asyncio.create_task(_ask(http, seen)) for _ in range(CLIENTS)]
        try:
            yield seen
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def client(live: Live) -> httpx.AsyncClient:
    """A client with the key."""
    headers = {"Authorization": f"Bearer {live.api_key}"}
    return httpx.AsyncClient(base_url=live.url, headers=headers, timeout=120)


async def _ask(http: httpx.AsyncClient, seen: Load) -> None:
    body = {"model": "first", "messages": HELLO, "max_tokens": 2}
    while True:
        response = await http.post("/v1/chat/completions", json=body)
        if response.status_code == 200:
            seen.components.append(response.headers["x-blended-component"])
        else:
            seen.failures.append(f"{response.status_code} {response.text}")
        await asyncio.sleep(0.05)


async def long_stream(live: Live, model: str, started: asyncio.Event) -> list[str]:
    """The data of a stream that outlives the least time that Serve gives an ending replica."""
    body = {"model": model, "messages": HELLO, "max_tokens": LONG_STREAM_TOKENS, "stream": True}
    chunks = list[bytes]()
    async with client(live) as http, http.stream("POST", "/v1/chat/completions", json=body) as got:
        async for chunk in got.aiter_bytes():
            chunks.append(chunk)
            started.set()
    return [event.data.decode() for event in sse.events(chunks)]


async def test_weights_reach_every_response_at_once(cluster: Cluster) -> None:
    """Weight 0 drains a component; nothing restarts and no request fails."""
    a, b = component("a"), component("b")
    await cluster.apply(a, b)
    before = cluster.pids()
    async with load(cluster.live) as seen:
        assert set(await seen.answered(100)) == {"a", "b"}
        printed = await cluster.apply(a, b, selection={"weights": {"a": 1, "b": 0}})
        assert set(await seen.answered(100)) == {"a"}
        await cluster.apply(a, b, selection={"weights": {"a": 0, "b": 1}})
        assert set(await seen.answered(100)) == {"b"}

    assert "Weights: a 50 % → 100 %, b 50 % → 0 %, at once." in printed
    assert seen.failures == []
    assert cluster.pids() == before


async def test_nothing_changes_unasked(cluster: Cluster) -> None:
    """A bad file, a missing key, no terminal for the question and a "no" leave all as it is."""
    a, b = component("a"), component("b")
    await cluster.apply(a, b)
    before, pids = cluster.configs(), cluster.pids()
    bad = cluster.live.cli("apply", cluster.write(a, a, selection={"weights": {"x": -1}}), "--yes")
    remote = {"id": "r", "kind": "remote", "base_url": "http://127.0.0.1:9/v1", "model": "m"}
    keyless = cluster.write(a, {**remote, "api_key_env": "NO_SUCH_KEY"})
    lacking = cluster.live.cli("apply", keyless, "--yes")
    path = cluster.write(a)
    unasked = cluster.live.cli("apply", path)
    declined = answer(cluster.live, "n", "apply", path)
    same = await cluster.apply(a, b)

    assert [bad.returncode, lacking.returncode, unasked.returncode, declined] == [1, 1, 1, 1]
    assert "mistakes" in bad.stderr
    assert "NO_SUCH_KEY" in lacking.stderr
    assert "Component 'b' is removed" in unasked.stdout
    assert "give --yes" in unasked.stderr
    assert "Nothing to change." in same
    assert (cluster.configs(), cluster.pids()) == (before, pids)


async def test_a_component_joins_and_leaves(cluster: Cluster) -> None:
    """It joins when it answers; when it leaves, the stream in flight there ends whole."""
    a, b, c = component("a"), component("b"), component("c", itl_ms=100)
    await cluster.apply(a, b)
    before = cluster.pids()
    async with load(cluster.live) as seen:
        printed = await cluster.apply(a, b, c)
        assert "Component 'c' is added: its application starts" in printed
        async with asyncio.timeout(60):
            while "c" not in await seen.answered(50):
                pass
        started = asyncio.Event()
        stream = asyncio.create_task(long_stream(cluster.live, "c", started))
        await started.wait()
        leaving = asyncio.create_task(cluster.apply(a, b))
        async with asyncio.timeout(60):
            while "c" in await seen.answered(50):
                assert not stream.done()
        printed = await leaving
        assert "Component 'c' is removed: it gets no new responses" in printed
        data = await stream

    assert seen.failures == []
    assert data[-1] == "[DONE]"
    texts = [json.loads(text)["choices"][0]["delta"].get("content") for text in data[:-1]]
    assert texts.count(" simulated") == LONG_STREAM_TOKENS
    assert cluster.pids() == before
    assert "others" in before


async def test_replicas_change_without_a_restart(cluster: Cluster) -> None:
    """More replicas of a component join the existing one."""
    a, b = component("a"), component("b")
    await cluster.apply(a, b)
    before = cluster.pids()
    more = {**a, "replicas": {"min": 2, "max": 2}}
    printed = await cluster.apply(more, b)

    assert "The replicas of 'a' change (min_replicas 1 → 2, max_replicas 1 → 2)" in printed
    after = cluster.pids()
    assert len(after["component-a"]) == 2
    assert set(before.pop("component-a")) < set(after.pop("component-a"))
    assert after == before


async def test_another_engine_restarts_its_component_alone(cluster: Cluster) -> None:
    """The processes of all other applications stay, and so does the service."""
    a, b = component("a"), component("b")
    await cluster.apply(a, b)
    before = cluster.pids()
    async with load(cluster.live) as seen:
        printed = await cluster.apply(a, component("b", itl_ms=6))
        await seen.answered(20)

    assert "The engine of 'b' changes (itl_ms 5 → 6)" in printed
    assert seen.failures == []
    after = cluster.pids()
    assert after.pop("component-b") != before.pop("component-b")
    assert after == before


def answer(live: Live, reply: str, *arguments: str) -> int:
    """Run the command line on a terminal and answer its question; returns the exit status."""
    command = [str(Path(sys.executable).with_name("blended")), *arguments]
    ours, its = pty.openpty()
    try:
        os.write(ours, f"{reply}\n".encode())
        return subprocess.run(
            command, env=live.env, stdin=its, capture_output=True, timeout=120
        ).returncode
    finally:
        os.close(ours)
        os.close(its)
