"""Access to the API: the gate checks keys and rate limits before the router answers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from starlette.types import ASGIApp, Receive, Scope, Send

from blended import config
from blended.errors import ApiError
from blended.router.access import origins
from blended.router.access.credentials import carried
from blended.router.access.keys import Keys, key_ring
from blended.router.access.rate_limits import Limiter
from blended.router.endpoints import OPEN
from blended.router.errors import OnRefusal, error_response
from blended.router.shared_store import SharedStore

KEY = "blended.key"
ALLOWANCE = "blended.allowance"


@dataclass(frozen=True)
class Access:
    """The clients' keys, their limits, and the origins whose pages may use them.

    `store` is where the limits are counted, and whatever else router replicas share.
    """

    keys: Keys
    limiter: Limiter
    store: SharedStore
    cors_origins: tuple[str, ...]


def access(api: config.Api, environ: Mapping[str, str]) -> Access:
    """The access that a configuration and the environment grant.

    Raises:
        ConfigError: there are no keys, or the keys file or the store's address is bad.
    """
    keys, store = key_ring(api, environ), SharedStore(api.shared_store)
    return Access(keys, Limiter(store), store, api.cors_origins)


class Gate:
    """An ASGI middleware that refuses a request without a key before reading its body.

    Every request of a key counts, for any path. Only health checks are open to all clients, and
    count for no key; a browser asks without a key what its pages may send. Behind the gate, the
    scope holds the key and its allowance under `KEY` and `ALLOWANCE`. `current` gives the access of
    the moment, None before the first configuration.
    """

    def __init__(
        self, app: ASGIApp, current: Callable[[], Access | None], on_refusal: OnRefusal
    ) -> None:
        self._app, self._current, self._on_refusal = app, current, on_refusal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        access = self._current()
        if scope["type"] != "http" or scope["path"] in OPEN:
            await self._app(scope, receive, send)
        elif access is None:
            error = ApiError(503, "The router has no configuration yet; try again.", None, None, 1)
            await error_response(error)(scope, receive, send)
        elif (origin := origins.origin_of(scope)) is not None:
            await self._for_page(access, origin)(scope, receive, send)
        else:
            await self._checked(access)(scope, receive, send)

    def _for_page(self, access: Access, origin: str) -> ASGIApp:
        cors = origins.with_cors(self._checked(access), access.cors_origins)

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            if origins.is_preflight(scope) and not cors.is_allowed_origin(origin):
                await self._refuse(origins.refusal(origin))(scope, receive, send)
            else:
                await cors(scope, receive, send)

        return app

    def _checked(self, access: Access) -> ASGIApp:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            try:
                key = access.keys.find(carried(scope["headers"]))
                allowance = await access.limiter.admit(key)
            except ApiError as error:
                await self._refuse(error)(scope, receive, send)
                return
            await self._app({**scope, KEY: key, ALLOWANCE: allowance}, receive, send)

        return app

    def _refuse(self, error: ApiError) -> ASGIApp:
        self._on_refusal(error.status, error.code)
        return error_response(error)
