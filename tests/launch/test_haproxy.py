"""A real HAProxy with the configuration that Ray's own code writes, before two real servers."""

import asyncio
import os
import re
import socket
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from ray.serve._private.haproxy import BackendConfig, HAProxyApi, HAProxyConfig, ServerConfig
from ray.serve.config import HTTPOptions

from blended.internal import INTERNAL_PORT_ENV
from blended.launch import free_ports
from blended.launch.haproxy import UnknownConfigurationError, hardened
from tests.support import eventually

# Of so many files HAProxy can serve 400 connections: 300 of clients, 150 of one address.
OPEN_FILES, PUBLIC, ONE_ADDRESS = 1512, 300, 150
CLIENT_S, SILENCE_S = 6, 8

SERVER = """
import asyncio, sys
from aiohttp import web

async def slow(request):
    await request.read()
    await asyncio.sleep(float(request.query["s"]))
    return web.Response(text=sys.argv[1])

async def pause(request):
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"begun ")
    await asyncio.sleep(float(request.query["s"]))
    await response.write(b"ended")
    return response

app = web.Application()
app.router.add_get("/-/healthz", lambda _: asyncio.sleep(0, web.Response()))
app.router.add_post("/slow", slow)
app.router.add_get("/pause", pause)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
"""


@dataclass(frozen=True)
class Proxy:
    """A running HAProxy, where it answers clients and routers, and the servers behind it."""

    folder: Path
    port: int
    internal_port: int
    stats_port: int
    servers: list["subprocess.Popen[bytes]"]

    def url(self, path: str) -> str:
        """Where clients find a path."""
        return f"http://127.0.0.1:{self.port}{path}"


@pytest.fixture
async def proxy(tmp_path: Path) -> AsyncIterator[Proxy]:
    """HAProxy as Ray starts it, once it knows that both servers are well."""
    ports = free_ports.block(6)
    port, internal, stats, metrics = ports[2:]
    with ExitStack() as stack:
        servers = [
            stack.enter_context(process([sys.executable, "-c", SERVER, str(p)])) for p in ports[:2]
        ]
        written = configuration(tmp_path, port, stats, metrics, list(ports[:2]))
        command = [sys.executable, "-m", "blended.launch.haproxy", "-db", "-f", str(written)]
        limited = ["bash", "-c", f'ulimit -n {OPEN_FILES}; exec "$@"', "-", *command]
        stack.enter_context(process(limited, {INTERNAL_PORT_ENV: str(internal)}))
        found = Proxy(tmp_path, port, internal, stats, servers)
        await eventually(lambda: two_are_well(found), timeout_s=30)
        yield found


@contextmanager
def process(
    command: list[str], environment: dict[str, str] | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that ends with the block."""
    env = {**os.environ, **(environment or {}), "PYTHONPATH": os.pathsep.join(sys.path)}
    running = subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL)
    try:
        yield running
    finally:
        running.kill()
        running.wait()


def configuration(folder: Path, port: int, stats: int, metrics: int, servers: list[int]) -> Path:
    """What Ray's own code writes for one application with these servers."""
    path = folder / "haproxy.cfg"
    config = HAProxyConfig(
        http_options=HTTPOptions(host="0.0.0.0", port=port),
        socket_path=str(folder / "admin.sock"),
        server_state_base=str(folder),
        server_state_file=str(folder / "state"),
        stats_port=stats,
        metrics_port=metrics,
        has_received_routes=True,
        has_received_servers=True,
        metrics_enabled=False,
        timeout_client_s=CLIENT_S,
        health_check_inter="500ms",
        retry_on="conn-failure empty-response\n    option http-buffer-request",
    )
    (folder / "state").touch()
    named = [ServerConfig(f"server-{p}", "127.0.0.1", p) for p in servers]
    backend = BackendConfig("http-blended", "/", app_name="blended", servers=named)
    api = HAProxyApi(config, {"http-blended": backend}, config_file_path=str(path))
    api._generate_config_file_internal()
    return path


def two_are_well(proxy: Proxy) -> bool:
    """Whether HAProxy's own page says so."""
    try:
        rows = httpx.get(f"http://127.0.0.1:{proxy.stats_port}/stats;csv").text.splitlines()
    except httpx.HTTPError:
        return False
    return sum(row.startswith("http-blended,server-") and ",UP," in row for row in rows) == 2


@contextmanager
def holding(proxy: Proxy, *sources: str, count: int) -> Iterator[list[socket.socket]]:
    """Up to so many connections from each address, each with the first byte of a request."""
    with ExitStack() as stack:
        held = []
        for source in (source for source in sources for _ in range(count)):
            with suppress(ConnectionResetError):
                connection = socket.create_connection(
                    ("127.0.0.1", proxy.port), timeout=5, source_address=(source, 0)
                )
                held.append(stack.enter_context(connection))
                connection.sendall(b"P")
        yield held


def is_open(connection: socket.socket) -> bool:
    """Whether the other end has not closed it."""
    connection.settimeout(0)
    try:
        return connection.recv(1) != b""
    except BlockingIOError:
        return True
    except ConnectionError:
        return False


async def test_connections_that_ask_nothing_leave_room_for_others(proxy: Proxy) -> None:
    """One address holds half of the places of clients and no more; another client is answered."""
    with holding(proxy, "127.0.0.2", count=ONE_ADDRESS + 50) as held:
        answer = await asyncio.to_thread(httpx.post, proxy.url("/slow?s=0"), content=b"x")

        assert answer.is_success
        await eventually(lambda: sum(map(is_open, held)) == ONE_ADDRESS, timeout_s=CLIENT_S)


def test_clients_that_hold_every_place_leave_the_routers_theirs(proxy: Proxy) -> None:
    """When no client gets in any more, a router of this node still reaches its components."""
    with holding(proxy, "127.0.0.2", "127.0.0.3", count=ONE_ADDRESS):
        internal = f"http://127.0.0.1:{proxy.internal_port}/slow?s=0"

        assert httpx.post(internal, content=b"x").is_success
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(proxy.url("/slow?s=0"), content=b"x", timeout=1)


def test_a_request_that_does_not_arrive_is_closed(proxy: Proxy) -> None:
    """A client that sends nothing more is told that its time is over."""
    with holding(proxy, "127.0.0.1", count=1) as (held,):
        held.settimeout(30)

        assert b"408" in held.recv(100) or held.recv(100) == b""


async def test_a_server_may_be_silent_for_longer_than_a_client(proxy: Proxy) -> None:
    """The timeout of clients counts neither before a response nor within it."""
    async with httpx.AsyncClient(timeout=30) as http:
        slow, paused = await asyncio.gather(
            http.post(proxy.url(f"/slow?s={SILENCE_S}"), content=b"x"),
            http.get(proxy.url(f"/pause?s={SILENCE_S}")),
        )

    assert slow.is_success
    assert paused.text == "begun ended"


def test_only_routers_are_told_the_names_of_applications(proxy: Proxy) -> None:
    """A stranger's request for them goes where every other one goes."""
    internal = httpx.get(f"http://127.0.0.1:{proxy.internal_port}/-/routes")

    assert internal.json() == {"/": "blended"}
    assert httpx.get(proxy.url("/-/routes")).status_code == 404


def test_only_its_owner_administers_it(proxy: Proxy) -> None:
    """The socket is closed to other users, and statistics listen on loopback alone."""
    mode = (proxy.folder / "admin.sock").stat().st_mode

    assert stat.S_IMODE(mode) == 0o600
    text = (proxy.folder / "haproxy.cfg").read_text()
    assert f"bind 127.0.0.1:{proxy.stats_port}" in text


def test_a_configuration_of_another_ray_is_refused(tmp_path: Path) -> None:
    """HAProxy does not start without what protects it."""
    text = configuration(tmp_path, 1, 2, 3, [4]).read_text()
    assert re.search("timeout http-request", hardened(text, {}, OPEN_FILES))

    with pytest.raises(UnknownConfigurationError, match="version of Ray"):
        hardened(text.replace("mode 666", "mode 660"), {}, OPEN_FILES)
