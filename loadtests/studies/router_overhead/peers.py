"""The peers: their pinned versions, their commands, and their configurations for the upstream.

All get the same three models; peers with weights get 5, 3 and 2.
"""

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from loadtests.studies.router_overhead.environments import NpmPackages, PipPackage

WEIGHTS = {"a": 5, "b": 3, "c": 2}
_LITELLM_KEY = f"sk-{secrets.token_hex(16)}"


@dataclass(frozen=True)
class PeerSite:
    """Where a peer is started: its environment, a folder for its files, its port, the models' URLs.

    `urls` are the bases without a path, by model.
    """

    environment: Path
    folder: Path
    port: int
    urls: Mapping[str, str]


@dataclass(frozen=True)
class Peer:
    """One gateway; `announced` says that it picks its port and prints its address."""

    version: str
    packages: PipPackage | NpmPackages
    command: Callable[[PeerSite], Sequence[str | Path]]
    model: str = "m"
    path: str = "/v1/chat/completions"
    headers: Callable[[PeerSite], Mapping[str, str]] = lambda site: {}
    env: Mapping[str, str] = field(default_factory=dict)
    announced: bool = False


def _rust_router(*start: str) -> Callable[[PeerSite], Sequence[str | Path]]:
    def command(site: PeerSite) -> Sequence[str | Path]:
        program, *arguments = start
        return [
            site.environment / "bin" / program,
            *arguments,
            *("--host", "127.0.0.1", "--port", str(site.port)),
            *("--prometheus-port", str(site.port + 1), "--policy", "random"),
            *("--worker-urls", *site.urls.values()),
        ]

    return command


def _litellm(site: PeerSite) -> Sequence[str | Path]:
    models = [
        {
            "model_name": "m",
            "litellm_params": {
                "model": f"openai/{model}",
                "api_base": f"{url}/v1",
                "api_key": "unused",
                "weight": WEIGHTS[model],
            },
        }
        for model, url in site.urls.items()
    ]
    config = {
        "model_list": models,
        "router_settings": {"routing_strategy": "simple-shuffle"},
        "litellm_settings": {"telemetry": False, "num_retries": 0},
    }
    path = site.folder / "litellm.yaml"
    path.write_text(yaml.safe_dump(config))
    program = site.environment / "bin" / "litellm"
    where = ("--host", "127.0.0.1", "--port", str(site.port), "--num_workers", "1")
    return [program, "--config", path, *where]


_TENSORZERO_MODEL = """
[models.{model}]
routing = ["upstream"]
[models.{model}.providers.upstream]
type = "vllm"
model_name = "{model}"
api_base = "{url}/v1/"
api_key_location = "none"
[functions.bench.variants.{model}]
type = "chat_completion"
model = "{model}"
"""
_TENSORZERO_FUNCTION = """
[gateway]
observability.enabled = false
[functions.bench]
type = "chat"
[functions.bench.experimentation]
type = "static"
candidate_variants = {shares}
"""
# The wheel carries the whole gateway, which the client library starts inside its process.
_TENSORZERO_START = """
import sys, threading
from tensorzero.tensorzero import _start_http_gateway
gateway = _start_http_gateway(config_file=sys.argv[1], clickhouse_url=None, postgres_url=None,
                              valkey_url=None, async_setup=False)
print(gateway.base_url, flush=True)
threading.Event().wait()
"""


def _tensorzero(site: PeerSite) -> Sequence[str | Path]:
    shares = ", ".join(f"{model} = {weight / 10}" for model, weight in WEIGHTS.items())
    parts = [_TENSORZERO_FUNCTION.format(shares=f"{{{shares}}}")]
    parts += [_TENSORZERO_MODEL.format(model=model, url=url) for model, url in site.urls.items()]
    path = site.folder / "tensorzero.toml"
    path.write_text("".join(parts))
    return [site.environment / "bin" / "python", "-c", _TENSORZERO_START, path]


def _portkey(site: PeerSite) -> Sequence[str | Path]:
    start = site.environment / "node_modules/@portkey-ai/gateway/build/start-server.js"
    return ["node", start, "--headless", f"--port={site.port}"]


def _portkey_headers(site: PeerSite) -> dict[str, str]:
    targets: list[dict[str, Any]] = [
        {
            "provider": "openai",
            "api_key": "unused",
            "custom_host": f"{url}/v1",
            "weight": WEIGHTS[model] / 10,
        }
        for model, url in site.urls.items()
    ]
    config = {"strategy": {"mode": "loadbalance"}, "targets": targets}
    return {"x-portkey-config": json.dumps(config)}


def _production_stack(site: PeerSite) -> Sequence[str | Path]:
    return [
        site.environment / "bin" / "vllm-router",
        *("--host", "127.0.0.1", "--port", str(site.port)),
        *("--service-discovery", "static", "--routing-logic", "roundrobin"),
        *("--static-backends", ",".join(site.urls.values())),
        *("--static-models", ",".join("m" for _ in site.urls)),
    ]


PEERS = {
    "vllm_router": Peer(
        "0.1.17",
        PipPackage("vllm-router==0.1.17"),
        _rust_router("vllm-router", "--log-level", "warning"),
    ),
    "sglang_router": Peer(
        "0.3.2",
        PipPackage("sglang-router==0.3.2"),
        _rust_router("sglang-router", "launch", "--log-level", "warn"),
    ),
    "tensorzero": Peer(
        "2026.6.0",
        PipPackage("tensorzero==2026.6.0"),
        _tensorzero,
        model="tensorzero::function_name::bench",
        path="/openai/v1/chat/completions",
        announced=True,
    ),
    "portkey": Peer(
        "1.15.2",
        # Its streams fail with later versions of the server that it runs on (its issue 1389).
        NpmPackages({"@portkey-ai/gateway": "1.15.2"}, {"@hono/node-server": "1.14.1"}),
        _portkey,
        headers=_portkey_headers,
    ),
    "litellm": Peer(
        "1.106.2",
        PipPackage("litellm[proxy]==1.106.2"),
        _litellm,
        headers=lambda site: {"authorization": f"Bearer {_LITELLM_KEY}"},
        env={"LITELLM_MASTER_KEY": _LITELLM_KEY, "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
    ),
    # Published as source only, under a name that another project has on the package index.
    "production_stack": Peer(
        "0.1.6",
        PipPackage(
            "git+https://github.com/vllm-project/production-stack@vllm-stack-0.1.6", "python3.12"
        ),
        _production_stack,
    ),
}
