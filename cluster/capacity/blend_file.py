"""Puts a plan's numbers into a blend's file, whose comments and order stay."""

from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from blended.config.loading import parse, presets
from blended.errors import ConfigError
from cluster.capacity.planning import CapacityPlan, ComponentPlan
from cluster.capacity.reward_planning import RewardPlan


def write(path: Path, plan: CapacityPlan, weights: Mapping[str, float] | None) -> None:
    """Write the replicas of each component and of the router, and the weights if there are any.

    Raises:
        ConfigError: it is a preset, which cannot be changed, or would not be a valid blend
            afterwards.
    """
    if str(path) in presets():
        raise ConfigError(f"'{path}' is a preset; copy it to a file, and plan that.")
    yaml = YAML()
    yaml.preserve_quotes, yaml.width = True, 120
    data = yaml.load(path.read_text())
    for component in data["components"]:
        if component["id"] in plan.components:
            found = _replicas(plan.components[component["id"]])
            # A new mapping: the existing one may be shared by YAML anchors.
            component["replicas"] = {**component.get("replicas", {}), **found}
    if plan.reward is not None:
        reward = data["reward"]
        reward["replicas"] = {**reward.get("replicas", {}), **_reward_replicas(plan.reward)}
    router = data.setdefault("router", {})
    replicas = router.get("replicas", {})
    most = max(plan.routers, replicas.get("max", 0))
    router["replicas"] = {**replicas, "min": plan.routers, "max": most}
    if weights is not None:
        # Some YAML readers take an id for another value: `on`, `0777`.
        found = {DoubleQuotedScalarString(name): weight for name, weight in weights.items()}
        data.setdefault("selection", {})["weights"] = found
    text = StringIO()
    yaml.dump(data, text)
    parse(text.getvalue(), str(path))
    path.write_text(text.getvalue())


def _reward_replicas(plan: RewardPlan) -> dict[str, Any]:
    capacity = {"capacity": list(plan.capacity)} if plan.capacity else {}
    return {"min": plan.min_replicas, "max": plan.max_replicas, **capacity}


def _replicas(plan: ComponentPlan) -> dict[str, Any]:
    return {
        "min": plan.min_replicas,
        "max": plan.max_replicas,
        "target_ongoing_requests": plan.target_ongoing_requests,
        "max_ongoing_requests": plan.max_ongoing_requests,
        "max_queued_requests": plan.max_queued_requests,
        "capacity": list(plan.capacity),
    }
