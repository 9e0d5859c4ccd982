"""Who picks the replica of a component for each request, in a process of its own beside the engine.

HAProxy asks it by HTTP and is told a replica. It does for one model without adapters what Ray's
LLMRouter does, which loads torch for that. Ray has no public API for either: what is private of it
and needed for it stands in this module.
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

# The name by which Serve configs know it: that of Ray's own.
DEPLOYMENT = "LLMRouter"


class Picker:
    """Asks the engine's own request router, which keeps a session with its replica."""

    def __init__(self, engine: Any) -> None:
        # Gives the handle its router now, which learns of the replicas before the first request.
        self._engine = engine.options()

    async def __serve_build_asgi_app__(self) -> ASGIApp:
        """Ray Serve's hook for an application that is made when the replica starts."""
        return Starlette(routes=[Route("/internal/route", self.pick, methods=["POST"])])

    async def pick(self, request: Request) -> JSONResponse:
        """The answer that HAProxy takes: 200 with a replica, or 503."""
        session = request.headers.get(SESSION_HEADER)
        engine = self._engine.options(session_id=session) if session else self._engine
        try:
            # The request itself goes past Serve, so that no place is to be kept for it.
            async with engine.choose_replica(_reserve=False) as selection:
                replica = selection._replica.replica_id.to_full_id_str()
        except (RuntimeError, DeploymentUnavailableError) as exc:
            return JSONResponse({"detail": str(exc)}, 503)
        return JSONResponse({"replica_id": replica})


def picked(engine: Application) -> Application:
    """An engine's application, with the picker of its replicas beside it."""
    deployment = serve.deployment(
        name=DEPLOYMENT, max_ongoing_requests=1000, ray_actor_options={"num_cpus": 0}
    )
    picker = deployment(serve.ingress()(Picker)).bind(engine)
    return engine._with_ingress_request_router(picker)
