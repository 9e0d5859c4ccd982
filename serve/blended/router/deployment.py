"""The router as a Ray Serve deployment: the API, its keys, and live changes of the blend."""

import asyncio
import gc
import logging
import os
from dataclasses import replace
from typing import Any, NoReturn

from ray import serve
from starlette.types import ASGIApp

from blended import config
from blended.autoscaling.rate_board import metrics
from blended.config import BlendConfig
from blended.journal.from_config import open_journal
from blended.journal.journal import Journal
from blended.journal.records import ResponseRecord
from blended.journal.spool import SpoolStatus
from blended.router.access.gate import Access, access
from blended.router.api import Api
from blended.router.blend import resolve
from blended.router.metrics import Telemetry
from blended.router.response_record import described

logger = logging.getLogger(__name__)

_REPORT_S = 1.0


class Router:
    """One replica; all replicas compute the same draws and keep no state of conversations."""

    def __init__(self) -> None:
        # This package's log lines go where Ray Serve's lines go, in the same form.
        logging.getLogger("blended").parent = logging.getLogger("ray.serve")
        self._telemetry = Telemetry()
        counted = self._telemetry
        self._api = Api(self._ended, counted.refused, counted.looked_ahead, counted.drew)
        self._granted: config.Api | None = None
        self._kept: config.Journal | None = None

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Take a new blend: a change reaches every request that comes after it."""
        blend = BlendConfig.model_validate(user_config["blend"])
        resolved = resolve(blend, user_config["components_url"], os.environ)
        granted, journal = await self._access(blend.api), self._journal(blend.journal)
        before = self._api.journal
        self._api.use(resolved, granted, journal)
        self._granted, self._kept = blend.api, blend.journal
        if before is not None and before is not journal:
            await asyncio.to_thread(before.close)

    async def __serve_build_asgi_app__(self) -> ASGIApp:
        """Ray Serve's hook for an application that is made when the replica starts."""
        # Objects that Ray and this package have loaded by now stay: the garbage collector need not
        # visit them again, which would cost a tenth of every request.
        gc.collect()
        gc.freeze()
        self._reporting = asyncio.create_task(self._report())
        return self._api.application()

    async def record_autoscaling_stats(self) -> dict[str, float]:
        """Ray Serve's hook: the rates that components can expect, for the autoscaling policies."""
        blend = self._api.blend
        if blend is None:
            return {}
        served = blend.config.served
        capacities = {one.id: one.replicas.capacity for one in served if one.replicas.capacity}
        return metrics(capacities, self._api.arrivals.expected(blend))

    async def _access(self, api: config.Api) -> Access:
        """The clients' access; a change of other settings keeps the counts of the limits."""
        current, granted = self._api.access, self._granted
        if current is None or granted is None:
            return access(api, os.environ)
        if api == granted:
            return current
        renewed = access(api, os.environ)
        if api.shared_store == granted.shared_store:
            return replace(renewed, limiter=current.limiter, store=current.store)
        await current.store.close()
        return renewed

    def _journal(self, settings: config.Journal) -> Journal | None:
        return self._api.journal if settings == self._kept else open_journal(settings, os.environ)

    def _ended(self, record: ResponseRecord, trace_id: str | None) -> None:
        blend = self._api.blend
        assert blend is not None, "a response was given without a blend"
        self._telemetry.ended(record, blend.config)
        if record.failures:
            ids = {"response_id": record.response_id, "request_id": record.request_id}
            logger.warning(described(record), extra={**ids, "trace_id": trace_id})

    async def _report(self) -> NoReturn:
        """Report to Ray's metrics every second until cancelled."""
        spooled: SpoolStatus | None = None
        while True:
            await asyncio.sleep(_REPORT_S)
            if self._api.journal is not None:
                before, spooled = spooled, self._api.journal.status()
                self._telemetry.spooled(spooled, before)
            if self._api.blend is not None:
                out = self._api.availability.unavailable
                self._telemetry.configured(self._api.blend, out)
            self._telemetry.report()


ROUTER_DEPLOYMENT = serve.deployment(name="Router")(serve.ingress()(Router))
