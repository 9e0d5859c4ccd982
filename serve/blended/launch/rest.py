"""Ray Serve's REST API, which the dashboard of a cluster answers: deploy, watch, delete."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import httpx

from blended.app import COMPONENT_APP_PREFIX, REWARD_APP, ROUTER_APP
from blended.errors import LaunchError

_APPLICATIONS = "/api/serve/applications/"
_NODES = "/api/v0/nodes"


@dataclass(frozen=True)
class AppStatus:
    """One application in Serve; `failure` is Serve's description of a failure, or empty."""

    name: str
    status: str
    failure: str
    has_deployments: bool


@dataclass(frozen=True)
class Node:
    """One node of the cluster: all of its logical resources in Ray, and its labels."""

    id: str
    resources: Mapping[str, float]
    labels: Mapping[str, str]


class ServeApi:
    """The Serve applications of one cluster; `token` is Ray's own token, if the cluster needs one.

    A context manager that closes its connections, for processes that go on without them.
    """

    def __init__(self, dashboard_url: str, token: str | None) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = httpx.Client(base_url=dashboard_url, headers=headers, timeout=60)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def deploy(self, config: dict[str, Any]) -> None:
        """Make `config` the state of the blend; other applications stay as they are."""
        applications = [*self._of_others(), *config["applications"]]
        self._call("PUT", json={**config, "applications": applications})

    def delete(self) -> None:
        """Delete the blend's applications; other applications stay."""
        if others := self._of_others():
            self._call("PUT", json={"applications": others})
        else:
            self._call("DELETE")

    def deployed(self) -> dict[str, dict[str, Any]]:
        """The configurations of the blend's applications by name, except those being deleted."""
        apps = self._details()["applications"].values()
        configs = [config for app in apps if (config := app.get("deployed_app_config"))]
        return {config["name"]: config for config in configs if _is_ours(config["name"])}

    def nodes(self) -> list[Node]:
        """The nodes of the cluster that are alive."""
        found = self._call("GET", _NODES).json()["data"]["result"]["result"]
        return [
            Node(n["node_id"], n["resources_total"], n["labels"])
            for n in found
            if n["state"] == "ALIVE"
        ]

    def statuses(self) -> list[AppStatus]:
        """The state of each of the blend's applications."""
        apps = self._details()["applications"].values()
        return [_status(app) for app in apps if _is_ours(app["name"])]

    def _of_others(self) -> list[dict[str, Any]]:
        apps = self._details()["applications"].values()
        configs = [config for app in apps if (config := app.get("deployed_app_config"))]
        return [config for config in configs if not _is_ours(config["name"])]

    def _details(self) -> Any:
        return self._call("GET").json()

    def _call(self, method: str, path: str = _APPLICATIONS, **arguments: Any) -> httpx.Response:
        try:
            response = self._request(method, path, **arguments)
        except httpx.HTTPError as exc:
            raise LaunchError(
                f"Ray's dashboard at {self._http.base_url} does not answer ({exc}); check the "
                "address, which is that of the dashboard, for example http://127.0.0.1:8265."
            ) from exc
        if response.status_code in (401, 403):
            raise LaunchError(
                f"Ray's dashboard at {self._http.base_url} asks for its token; set RAY_AUTH_TOKEN."
            )
        if response.is_error:
            # The cause is at the end of a possible traceback.
            raise LaunchError(
                f"Ray's dashboard at {self._http.base_url} answered {method} with "
                f"{response.status_code}: {response.text.strip()[-500:]}"
            )
        return response

    def _request(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        try:
            return self._http.request(method, path, **arguments)
        except (httpx.RemoteProtocolError, httpx.ReadError):
            # A busy dashboard may drop a connection; every request here may safely be repeated.
            return self._http.request(method, path, **arguments)


def _is_ours(app: str) -> bool:
    return app in (ROUTER_APP, REWARD_APP) or app.startswith(COMPONENT_APP_PREFIX)


def _status(app: dict[str, Any]) -> AppStatus:
    deployments = app.get("deployments", {}).values()
    messages = [d.get("message", "") for d in deployments]
    failure = next((m for m in messages if "Traceback" in m or "failed to start" in m), "")
    if app["status"] in ("DEPLOY_FAILED", "UNHEALTHY"):
        failure = failure or app.get("message", "") or app["status"]
    return AppStatus(app["name"], app["status"], failure, bool(deployments))
