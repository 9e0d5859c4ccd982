"""Who picks the replica of a request, with an engine that only records what it is asked."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import httpx

from blended.app import PICKER
from blended.components.replica_picker import DEPLOYMENT, Picker


class Handle:
    """A deployment's handle, as far as the picker uses it."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.sessions = list[str | None]()
        self._failure = failure
        self._session: str | None = None

    def options(self, session_id: str | None = None) -> "Handle":
        """The same handle, with the session of the next pick."""
        self._session = session_id
        return self

    @asynccontextmanager
    async def choose_replica(self, _reserve: bool) -> AsyncIterator[Any]:
        """The only replica, for which no place is kept."""
        assert not _reserve
        self.sessions.append(self._session)
        if self._failure is not None:
            raise self._failure
        replica = SimpleNamespace(replica_id=SimpleNamespace(to_full_id_str=lambda: "app#a#1"))
        yield SimpleNamespace(_replica=replica)


async def asked(handle: Handle, **headers: str) -> httpx.Response:
    """What the picker answers to HAProxy."""
    app: Any = await Picker(handle).__serve_build_asgi_app__()
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://picker") as client:
        return await client.post("/internal/route", headers=headers)


async def test_the_session_decides() -> None:
    """The engine's own request router is asked with the session, and its replica is named."""
    handle = Handle()
    response = await asked(handle, **{"X-Session-Id": "conversation"})

    assert (response.status_code, response.json()) == (200, {"replica_id": "app#a#1"})
    assert handle.sessions == ["conversation"]


async def test_without_a_session_any_replica_will_do() -> None:
    """A request that belongs to no conversation is spread like any other."""
    handle = Handle()

    assert (await asked(handle)).status_code == 200
    assert handle.sessions == [None]


async def test_no_replica_is_503() -> None:
    """HAProxy takes every other status than 200 for a failure."""
    response = await asked(Handle(RuntimeError("no replicas")))

    assert response.status_code == 503


def test_configs_know_it_by_its_name() -> None:
    """Serve configs name the deployment that the builder makes."""
    assert DEPLOYMENT == PICKER
