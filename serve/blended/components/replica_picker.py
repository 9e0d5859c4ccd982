"""Picks a component's replica for each request, in a process of its own beside the engine.

HAProxy asks it by HTTP and gets a replica. For one model without adapters it replaces Ray's
LLMRouter, which loads torch. Ray has no public API for either: this module holds the private parts
of Ray that it needs.
"""

from typing import Any

from ray import serve
from ray.serve import Application
from ray.serve.exceptions import DeploymentUnavailableError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from blended.internal import SESSION_HEADER

# The deployment's name in Serve configs, the same as that of Ray's own.
DEPLOYMENT = "LLMRouter"


class Picker:
    """Asks the engine's own request router, which keeps a session at its replica."""

    def __init__(self, engine: Any) -> None:
        # Creates the handle's router now, so that it knows the replicas before the first request.
        self._engine = engine.options()

    async def __serve_build_asgi_app__(self) -> ASGIApp:
        """Ray Serve's hook for an application that is made when the replica starts."""
        return Starlette(routes=[Route("/internal/route", self.pick, methods=["POST"])])

    async def pick(self, request: Request) -> JSONResponse:
        """The answer for HAProxy: 200 with a replica, or 503."""
        session = request.headers.get(SESSION_HEADER)
        engine = self._engine.options(session_id=session) if session else self._engine
        try:
            # The request itself bypasses Serve, so that no place is reserved for it.
            async with engine.choose_replica(_reserve=False) as selection:
                replica = selection._replica.replica_id.to_full_id_str()
        except (RuntimeError, DeploymentUnavailableError) as exc:
            return JSONResponse({"detail": str(exc)}, 503)
        return JSONResponse({"replica_id": replica})


def picked(engine: Application) -> Application:
    """An engine's application, with the picker of its replicas."""
    deployment = serve.deployment(
        name=DEPLOYMENT, max_ongoing_requests=1000, ray_actor_options={"num_cpus": 0}
    )
    picker = deployment(serve.ingress()(Picker)).bind(engine)
    return engine._with_ingress_request_router(picker)
