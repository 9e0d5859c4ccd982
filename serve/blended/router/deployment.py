"""The router as a Ray Serve deployment: the API, its keys, and live changes of the blend."""

import logging
import os
from dataclasses import replace
from typing import Any

from ray import serve
from ray.serve.metrics import Counter
from starlette.types import ASGIApp

from blended import config
from blended.config import BlendConfig
from blended.router.access import Access, access
from blended.router.api import Api
from blended.router.blend import resolve
from blended.router.response import Ending

logger = logging.getLogger(__name__)


class Router:
    """One replica; every replica computes the same draws and keeps no state of conversations."""

    def __init__(self) -> None:
        self._api = Api(self._count)
        self._granted: config.Api | None = None
        self._responses = _counter("blended_responses", "Responses.", "state", "component")
        self._attempts = _counter("blended_attempts", "Components asked.", "component", "outcome")

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Take a new blend: a change reaches every request that comes after it."""
        blend = BlendConfig.model_validate(user_config["blend"])
        granted = await self._access(blend.api)
        self._api.use(resolve(blend, user_config["components_url"], os.environ), granted)
        self._granted = blend.api

    async def __serve_build_asgi_app__(self) -> ASGIApp:
        """Ray Serve's hook for an application that is made when the replica starts."""
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

    def _count(self, ending: Ending) -> None:
        attempts = ending.attempts
        answered = attempts.choice.component if attempts.choice else "none"
        self._responses.inc(tags={"state": ending.state, "component": answered})
        for failure in attempts.failures:
            tags = {"component": failure.component, "outcome": failure.reason}
            self._attempts.inc(tags=tags)
        if attempts.choice:
            self._attempts.inc(tags={"component": answered, "outcome": "answered"})
        if attempts.failures:
            logger.warning("%s", ending)


def _counter(name: str, description: str, *tags: str) -> Counter:
    return Counter(name, description, tag_keys=tags)  # type: ignore[arg-type]  # Ray's own hint


ROUTER_DEPLOYMENT = serve.deployment(name="Router")(serve.ingress()(Router))
