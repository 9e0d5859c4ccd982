"""A Redis that routers share."""

from collections.abc import Iterator

import pytest

from loadtests.harness.redis_server import RedisServer, redis_server


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    """A server of the module's own."""
    with redis_server() as server:
        yield server
