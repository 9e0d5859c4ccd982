"""Change a running blend: compare it with the new one, then make the changes in order."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError

from blended.app import ROUTER_APP, serve_config
from blended.config import BlendConfig, Served
from blended.errors import LaunchError
from blended.experiments.definition import refusal
from blended.launch import up
from blended.launch.changes import Applications, Change, changes
from blended.launch.rest import ServeApi
from blended.launch.up import Report
from blended.router.blend import definitions, resolve

_POLL_S = 0.5


@dataclass(frozen=True)
class ChangePlan:
    """The steps from the running applications to the Serve config of `blend`.

    `unsettled` names the applications that are not up yet, after an earlier change or without one.
    """

    blend: BlendConfig
    changes: tuple[Change, ...]
    running: Applications
    unsettled: frozenset[str]
    config: Mapping[str, Any]

    @property
    def wanted(self) -> Applications:
        """The applications that will run, by name."""
        return {app["name"]: app for app in self.config["applications"]}

    @property
    def awaited(self) -> list[str]:
        """The names of the applications that have to become ready."""
        return [
            name
            for name, app in self.wanted.items()
            if name in self.unsettled or (self.changes and self.running.get(name) != app)
        ]

    @property
    def leaving(self) -> Applications:
        """The applications to delete, with their present configuration."""
        return {name: app for name, app in self.running.items() if name not in self.wanted}


def plan(api: ServeApi, blend: BlendConfig) -> ChangePlan:
    """Compare a blend with the running one, without changing anything.

    Raises:
        LaunchError: no blend runs there, or the change would invalidate a running experiment.
    """
    running = api.deployed()
    if ROUTER_APP not in running:
        raise LaunchError("No blend runs on this cluster; start one with 'blended up'.")
    _refuse_broken_experiments(_running_blend(running), blend)
    config = serve_config(blend, _port(running))
    wanted = {app["name"]: app for app in config["applications"]}
    unsettled = frozenset(s.name for s in api.statuses() if s.status != "RUNNING")
    return ChangePlan(blend, changes(running, wanted), running, unsettled, config)


def refuse_unfit(api: ServeApi, plan: ChangePlan, environ: Mapping[str, str]) -> None:
    """Refuse a blend that does not fit the cluster of this machine, which was started with
    `environ`.

    Raises:
        LaunchError: the cluster lacks resources or labels, which cannot be added to a running node.
        ConfigError: a component's key is missing in its environment, so that its router would
            refuse the blend.
    """
    resolve(plan.blend, "http://127.0.0.1", environ)
    nodes, leaving = api.nodes(), _leaving_components(plan)
    needs = {
        "CPU": up.reserved_cpus(plan.blend, leaving),
        "GPU": up.needed_gpus(plan.blend, leaving),
    }
    for resource, needed in needs.items():
        present = sum(node.resources.get(resource, 0) for node in nodes)
        if needed > present:
            raise LaunchError(
                f"While it changes, the blend reserves {needed} {resource}s and the cluster of "
                f"this machine has {present:g}; remove components first, in a change of their own, "
                "or start anew with 'blended down' and 'blended up'."
            )
    missing = up.node_labels(plan.blend).keys() - {label for n in nodes for label in n.labels}
    if missing:
        raise LaunchError(
            f"The cluster of this machine was started without the label {min(missing)}, which a "
            "replica group needs; start anew with 'blended down' and 'blended up'."
        )


def carry_out(
    api: ServeApi, plan: ChangePlan, timeout_s: float, report: Report, ray_dir: Path | None = None
) -> None:
    """Carry out the plan, and return when all wanted applications run.

    A removed component leaves the draw first, and is deleted last, when all wanted applications
    run; Serve lets its running responses end.

    Raises:
        LaunchError: the blend has changed since the plan, an application failed, or `timeout_s`
            went by; unchanged components go on serving.
    """
    if api.deployed() != plan.running:
        raise LaunchError("The blend has changed meanwhile; run apply again.")
    deadline = time.monotonic() + timeout_s
    failures = {status.failure for status in api.statuses()}
    if plan.changes:
        together = [*plan.config["applications"], *plan.leaving.values()]
        api.deploy({**plan.config, "applications": together})
    up.wait_until_running(api, plan.awaited, timeout_s, report, ray_dir, failures)
    if plan.leaving:
        api.deploy(dict(plan.config))
        _wait_until_gone(api, list(plan.leaving), deadline, report)


def _wait_until_gone(api: ServeApi, names: list[str], deadline: float, report: Report) -> None:
    for name in names:
        report(f"{up.short(name)}: finishing its responses")
    left = set(names)
    while left:
        there = {status.name for status in api.statuses()}
        for name in sorted(left - there):
            report(f"{up.short(name)}: deleted")
        left &= there
        if left and time.monotonic() > deadline:
            late = ", ".join(map(up.short, sorted(left)))
            raise LaunchError(
                f"Everything else is done, but {late} still finishes responses; Serve deletes it "
                "when they have ended, and nothing is left to do."
            )
        time.sleep(_POLL_S if left else 0)


def _port(running: Applications) -> int:
    url = running[ROUTER_APP]["deployments"][0]["user_config"]["components_url"]
    return urlsplit(url).port or 80


def _refuse_broken_experiments(running: BlendConfig, blend: BlendConfig) -> None:
    wanted, now = {d.name: d for d in definitions(blend)}, time.time()
    refusals = [refusal(d, wanted.get(d.name), now) for d in definitions(running)]
    if any(refusals):
        raise LaunchError("\n".join(filter(None, refusals)))


def _leaving_components(plan: ChangePlan) -> list[Served]:
    staying = {one.id for one in (*plan.blend.components, *plan.blend.served)}
    return [one for one in _running_blend(plan.running).served if one.id not in staying]


def _running_blend(running: Applications) -> BlendConfig:
    router = running[ROUTER_APP]["deployments"][0]
    try:
        return BlendConfig.model_validate(router["user_config"]["blend"])
    except ValidationError as exc:
        raise LaunchError(
            "The blend that runs was started by another version of Blended; start it anew with "
            "'blended down' and 'blended up'."
        ) from exc
