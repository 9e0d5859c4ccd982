"""The router as a Ray Serve deployment: the API, its keys, and live changes of the blend."""

import os
from typing import Any

from ray import serve
from starlette.types import ASGIApp

from blended.config import BlendConfig
from blended.errors import ConfigError
from blended.router.api import Api
from blended.router.blend import CLIENT_KEY_ENV, resolve


class Router:
    """One replica; every replica computes the same draws and keeps no state of conversations."""

    def __init__(self) -> None:
        key = os.environ.get(CLIENT_KEY_ENV)
        if not key:
            raise ConfigError(
                f"The environment variable {CLIENT_KEY_ENV} is not set on this node; the router "
                "does not serve without a key. Set it before Ray starts."
            )
        self._api = Api(key)

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Take a new blend: a change reaches every request that comes after it."""
        config = BlendConfig.model_validate(user_config["blend"])
        self._api.blend = resolve(config, user_config["components_url"], os.environ)

    async def __serve_build_asgi_app__(self) -> ASGIApp:
        """Ray Serve's hook for an application that is made when the replica starts."""
        return self._api.application()


ROUTER_DEPLOYMENT = serve.deployment(name="Router")(serve.ingress()(Router))
