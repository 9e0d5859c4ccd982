"""The targets of measurements: the bare upstream and its peers.

Blended's own are in blended_targets.py.
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil

from blended.launch import free_ports
from loadtests.harness.load_generator import text
from loadtests.harness.processes import family, spawned, wait_until
from loadtests.harness.simulated_upstream import TOKEN, TOKENS
from loadtests.studies.router_overhead.environments import installed
from loadtests.studies.router_overhead.peers import PEERS, WEIGHTS, Peer, PeerSite

ROOT = Path(__file__).parents[2]
CHAT = "/v1/chat/completions"
START_TIMEOUT_S = 600.0


def nothing() -> list[psutil.Process]:
    """No process is counted."""
    return []


@dataclass(frozen=True)
class Target:
    """A server that answers chats at `url`; `models` are its models by kind of response.

    The CPU time of `processes` is counted, and `role` names the role of each. `token` and
    `min_tokens` describe the tokens of its streams, `options` are further fields of every request.
    """

    name: str
    version: str
    url: str
    models: Mapping[str, str]
    headers: Mapping[str, str] = field(default_factory=dict)
    processes: Callable[[], list[psutil.Process]] = nothing
    role: Callable[[str], str] = lambda title: "router"
    token: str = TOKEN
    min_tokens: int = TOKENS
    options: Mapping[str, Any] = field(default_factory=dict)

    def body(self, kind: str) -> dict[str, Any]:
        """A request for a response of this kind: unary, paced or burst."""
        body = {
            "model": self.models[kind],
            "messages": [{"role": "user", "content": text(kind)}],
            "max_tokens": 1 if kind == "unary" else TOKENS,
            **self.options,
        }
        return body if kind == "unary" else body | {"stream": True}

    def answers(self) -> bool:
        """Whether it answers a chat."""
        try:
            headers = dict(self.headers)
            return httpx.post(
                self.url, json=self.body("unary"), headers=headers, timeout=30
            ).is_success
        except httpx.HTTPError:
            return False


@dataclass(frozen=True)
class Place:
    """Where targets are started: a folder for logs and configs, the upstream's URLs by model."""

    folder: Path
    urls: Mapping[str, str]


def one_model(name: str) -> dict[str, str]:
    """The same model for every kind of response."""
    return dict.fromkeys(("unary", "paced", "burst"), name)


@contextmanager
def upstream(folder: Path) -> Iterator[Mapping[str, str]]:
    """The simulated upstream; yields the URL of each of its models."""
    ports = {model: free_ports.port() for model in WEIGHTS}
    command = [
        sys.executable,
        "-m",
        "loadtests.harness.simulated_upstream",
        *map(str, ports.values()),
    ]
    urls = {model: f"http://127.0.0.1:{port}" for model, port in ports.items()}
    log = folder / "upstream.log"
    with spawned(command, log) as process:
        wait_until(bare(Place(folder, urls)).answers, process, log, START_TIMEOUT_S)
        yield urls


def chats(place: Place) -> dict[str, int]:
    """How many chats have reached each model of the upstream so far."""
    counts = httpx.get(f"{place.urls['a']}/counts").json()
    return {model: counts[str(urlsplit(url).port)] for model, url in place.urls.items()}


def bare(place: Place) -> Target:
    """The upstream itself, without a gateway."""
    return Target("bare", "", place.urls["a"] + CHAT, one_model("m"))


def start_peer(name: str, place: Place, stack: ExitStack) -> list[Target]:
    """A peer, installed if it is not yet.

    Raises:
        Unavailable: it cannot be installed or started.
    """
    peer = PEERS[name]
    site = PeerSite(installed(name, peer.packages), place.folder, free_ports.port(), place.urls)
    log = place.folder / f"{name}.log"
    process = stack.enter_context(spawned(peer.command(site), log, os.environ | peer.env))
    if peer.announced:
        wait_until(lambda: _announced(log) is not None, process, log, START_TIMEOUT_S)
    port = _announced(log) if peer.announced else site.port
    target = _peer_target(name, peer, site, port, process)
    wait_until(target.answers, process, log, START_TIMEOUT_S)
    return [target]


def _peer_target(
    name: str, peer: Peer, site: PeerSite, port: int | None, process: "subprocess.Popen[bytes]"
) -> Target:
    return Target(
        name=name,
        version=peer.version,
        url=f"http://127.0.0.1:{port}{peer.path}",
        models=one_model(peer.model),
        headers=peer.headers(site),
        processes=lambda: family(process.pid),
    )


def _announced(log: Path) -> int | None:
    match = re.search(r"http://127\.0\.0\.1:(\d+)", log.read_text(errors="replace"))
    return int(match[1]) if match else None
