"""All ports on which a blend's processes listen: Serve's ports answer only the API."""

import httpx
import pytest

from loadtests.harness.cluster import Listener, listeners
from tests.live.conftest import Live

pytestmark = pytest.mark.ray

PATHS = (
    "/",
    "/v1/models",
    "/v1/chat/completions",
    "/components/ember/v1/models",
    "/components/ember/v1/chat/completions",
    "/components/ember/metrics",
    "/components/ember/health",
    "/components/ember/docs",
    "/health",
    "/healthz",
    "/ping",
    "/version",
    "/v1/records/chatcmpl-1",
    "/chat/completions",
    "/metrics",
    "/docs",
    "/redoc",
    "/openapi.json",
    "/internal/route",
    "/-/routes",
    "/-/healthz",
)
# The health checks of the router and of Serve, which HAProxy reads; both reveal only that.
PROBES = ("/healthz", "/health", "/ping")
HEALTH = {*((path, '{"status":"ok"}') for path in PROBES), ("/-/healthz", "success")}


def ports(live: Live) -> list[Listener]:
    """The ports of all the cluster's processes that other machines can reach."""
    return [at for at in listeners(live.running) if at.ip in ("0.0.0.0", "::")]


def open_paths(port: Listener, key: str | None = None) -> set[tuple[str, str]]:
    """The paths that a port answers with success, and the answers; none if it is not HTTP."""
    found = set()
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    with httpx.Client(base_url=f"http://127.0.0.1:{port.port}", timeout=10) as http:
        for method in ("GET", "POST"):
            for path in PATHS:
                try:
                    response = http.request(method, path, headers=headers, json={})
                except httpx.RemoteProtocolError:
                    return set()  # gRPC, which Ray's own token closes
                if response.is_success:
                    found.add((path, response.text))
                else:
                    assert response.status_code < 500, f"{port} {method} {path}: {response.text}"
    return found


def test_replicas_answer_nobody_without_a_key(demo: Live) -> None:
    """The ports of router, engines and pickers answer direct requests only for health checks."""
    replicas = [port for port in ports(demo) if "ServeReplica" in port.process]
    answering = {port: found for port in replicas if (found := open_paths(port))}

    routers = [port for port in answering if ":blended:Router" in port.process]
    engines = [port for port in answering if ":LLMServer:" in port.process]
    pickers = [port for port in answering if ":LLMRouter" in port.process]
    assert len(routers) == 1
    assert len(engines) == len(pickers) == 3
    for port in pickers:
        # The picker reveals only the address of a replica, which needs the key.
        answering[port] = {(p, text) for p, text in answering[port] if p != "/internal/route"}
    assert all(found <= HEALTH for found in answering.values()), answering


def test_engines_refuse_the_clients_key(demo: Live) -> None:
    """A client's key opens the router's port alone; it differs from the internal key."""
    engines = [port for port in ports(demo) if ":LLMServer:" in port.process]

    assert all(open_paths(port, demo.api_key) <= HEALTH for port in engines)
    assert any(len(open_paths(port, demo.internal_key)) > 1 for port in engines)


def test_the_front_and_the_fallback_show_no_more(demo: Live) -> None:
    """HAProxy, and Serve's own proxy behind it, answer the API only."""
    front = Listener("0.0.0.0", int(demo.url.rsplit(":", 1)[1]), "haproxy")
    proxies = [port for port in ports(demo) if "ProxyActor" in port.process]

    assert {path for path, _ in open_paths(front)} == {*PROBES, "/-/healthz"}
    assert all(open_paths(port) <= HEALTH for port in proxies)
    assert any(open_paths(port) for port in proxies)
