"""The router as a Ray Serve deployment: the API, its keys, and live changes of the blend."""

import asyncio
import gc
import logging
import os
from dataclasses import replace
from typing import Any

from ray import serve
from starlette.types import ASGIApp

from blended import config
from blended.config import BlendConfig
from blended.router.access import Access, access
from blended.router.api import Api
from blended.router.blend import resolve
from blended.router.response import Ending
from blended.telemetry import Telemetry

logger = logging.getLogger(__name__)


class Router:
    """One replica; every replica computes the same draws and keeps no state of conversations."""

    def __init__(self) -> None:
        self._api = Api(self._ended)
        self._granted: config.Api | None = None
        self._telemetry = Telemetry()

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Take a new blend: a change reaches every request that comes after it."""
        blend = BlendConfig.model_validate(user_config["blend"])
        granted = await self._access(blend.api)
        self._api.use(resolve(blend, user_config["components_url"], os.environ), granted)
        self._granted = blend.api

    async def __serve_build_asgi_app__(self) -> ASGIApp:
        """Ray Serve's hook for an application that is made when the replica starts."""
        # What Ray and this package have loaded by now stays for good: the garbage collector need
        # not walk through it again and again, which costs a tenth of every request.
        gc.collect()
        gc.freeze()
        self._reporting = asyncio.create_task(self._telemetry.report())
        return self._api.application()

    async def _access(self, api: config.Api) -> Access:
        """What is granted; what has been counted of the limits survives a change of the rest."""
        current, granted = self._api.access, self._granted
        if current is None or granted is None:
            return access(api, os.environ)
        if api == granted:
            return current
        renewed = access(api, os.environ)
        if api.limits_store == granted.limits_store:
            return replace(renewed, limiter=current.limiter)
        await current.limiter.close()
        return renewed

    def _ended(self, ending: Ending) -> None:
        self._telemetry.ended(ending)
        if ending.attempts.failures:
            logger.warning("%s", ending)


ROUTER_DEPLOYMENT = serve.deployment(name="Router")(serve.ingress()(Router))
