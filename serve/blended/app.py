"""From a blend to a Ray Serve config: one application for each component, one for the router.

`serve deploy`, KubeRay and `blended up` import the builders here on the cluster. Only the builders
load Ray, which takes seconds: a process that only describes a blend does not load it.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict

from blended.autoscaling.rate_board import REPORT_S
from blended.components.local import build_vllm
from blended.components.placement import replica_options, selector
from blended.components.reward_model import RewardServer, Scorer, described, simulated_scorer
from blended.components.simulated import Simulated
from blended.config import (
    BlendConfig,
    Engine,
    Replicas,
    RewardProcess,
    RouterReplicas,
    Served,
    SimulatedComponent,
    Simulation,
    Tracing,
    VllmComponent,
    VllmReward,
)
from blended.internal import INTERNAL_KEY_ENV, PRIORITY, REWARD, REWARD_PREFIX, prefix
from blended.retry_after import RETRY_AFTER_S
from blended.tracing import environment

if TYPE_CHECKING:
    from ray.serve import Application

ROUTER_APP = "blended"
COMPONENT_APP_PREFIX = "component-"
REWARD_APP = REWARD
# The deployment beside every engine; HAProxy asks it for the replica of each request.
PICKER = "LLMRouter"
SIMULATED = "Simulated"
REWARD_MODEL = "RewardModel"
_ROUTER_POLICY = {"policy_function": "blended.autoscaling.policy:router_policy"}
_COMPONENT_POLICY = "blended.autoscaling.policy:ComponentPolicy"
# Access logs cost some percent of each request; metrics count requests, failures are logged.
_LOGGING = {"encoding": "JSON", "enable_access_log": False}

__all__ = ["build_reward", "build_router", "build_simulated", "build_vllm", "serve_config"]


class RouterArgs(BaseModel):
    """The router's application takes no arguments: its blend is the `user_config`, changed live."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SimulatedArgs(BaseModel):
    """The arguments of a simulated component's application."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    simulation: Simulation


class RewardArgs(BaseModel):
    """The arguments of the application of a reward model without an engine.

    `model` is the path of a local one; the others are for a simulated one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["local", "simulated"]
    model: str = ""
    correlation: float = 0.0
    ms: float = 0.0


def build_router(args: RouterArgs) -> "Application":
    """Build the router's application, for a Serve config's `import_path`."""
    from blended.router.deployment import ROUTER_DEPLOYMENT

    return ROUTER_DEPLOYMENT.bind()


def build_simulated(args: SimulatedArgs) -> "Application":
    """Build a simulated component's application, for a Serve config's `import_path`."""
    from ray import serve

    deployment = serve.deployment(name=SIMULATED)(serve.ingress()(_SimulatedReplica))
    return deployment.bind(args.id, args.simulation)


def build_reward(args: RewardArgs) -> "Application":
    """Build the application of a reward model without an engine, for a Serve config."""
    from ray import serve

    deployment = serve.deployment(name=REWARD_MODEL)(serve.ingress()(_RewardReplica))
    return deployment.bind(args)


def serve_config(blend: BlendConfig, http_port: int) -> dict[str, Any]:
    """The declarative Serve config of a whole blend, as Serve's REST API and KubeRay take it.

    Engines are in `args`, so that changing one restarts only that component. Replica counts, under
    `deployments`, and the router's blend, its `user_config`, change without a restart.
    """
    deployed = [c for c in blend.components if isinstance(c, VllmComponent | SimulatedComponent)]
    return {
        "proxy_location": "EveryNode",
        "http_options": {"host": "0.0.0.0", "port": http_port},
        "logging_config": _LOGGING,
        "applications": [
            *(_component_app(component, blend) for component in deployed),
            *_reward_apps(blend),
            _router_app(blend, http_port),
        ],
    }


def _component_app(
    component: VllmComponent | SimulatedComponent, blend: BlendConfig
) -> dict[str, Any]:
    place = {
        "name": f"{COMPONENT_APP_PREFIX}{component.id}",
        "route_prefix": prefix(component.id),
    }
    if isinstance(component, VllmComponent):
        # With look-ahead, requests come before what is read ahead.
        more = {"scheduling_policy": PRIORITY} if blend.selection.look_ahead else {}
        return place | _engine_app(component, component.engine, more, blend)
    simulation = component.simulation
    deployment = {
        "name": SIMULATED,
        **_component_scaling(component),
        **_simulated(simulation, f"blended-{component.id}", blend.tracing),
    }
    settings = simulation.model_dump(mode="json", exclude_none=True)
    return place | {
        "import_path": "blended.app:build_simulated",
        "args": {"id": component.id, "simulation": settings},
        "deployments": [deployment],
    }


def _reward_apps(blend: BlendConfig) -> list[dict[str, Any]]:
    """The application of the reward model, if there is one: scaled like a component."""
    reward, place = blend.reward, {"name": REWARD_APP, "route_prefix": REWARD_PREFIX}
    if reward is None:
        return []
    if isinstance(reward, VllmReward):
        return [place | _engine_app(reward, reward.engine, {"runner": "pooling"}, blend)]
    deployment = {
        "name": REWARD_MODEL,
        **_component_scaling(reward),
        **_actor(reward.cpus, f"blended-{REWARD}", blend.tracing, reward.replica_group),
    }
    # A change of another setting restarts no replica.
    apart = {*RewardProcess.model_fields}
    return [
        place
        | {
            "import_path": "blended.app:build_reward",
            "args": reward.model_dump(mode="json", exclude=apart),
            "deployments": [deployment],
        }
    ]


def _engine_app(
    served: VllmComponent | VllmReward, engine: Engine, more: dict[str, Any], blend: BlendConfig
) -> dict[str, Any]:
    """An application of vLLM, with `more` arguments of the engine where the file has none."""
    settings = engine.model_dump(mode="json", exclude_none=True)
    args = {"engine": settings | {"args": more | settings["args"]}}
    if blend.tracing is not None:
        args["tracing"] = blend.tracing.model_dump(mode="json", exclude_none=True)
    deployment = {"name": f"LLMServer:{served.id}", **_component_scaling(served)}
    return {
        "import_path": "blended.app:build_vllm",
        "args": {"id": served.id, **args},
        "deployments": [deployment, *_pickers(blend)],
    }


def _pickers(blend: BlendConfig) -> list[dict[str, Any]]:
    """The replica pickers of an engine, placed on the router's nodes if the router has a group.

    Otherwise Ray may run a picker on any node, also on one that is about to end. Pickers reserve no
    CPU: HAProxy asks a picker once for each request.
    """
    if blend.router.replica_group is None:
        return []
    labels = selector(blend.router.replica_group)
    return [
        {
            "name": PICKER,
            "num_replicas": blend.router.replicas.min,
            "ray_actor_options": {"num_cpus": 0, "label_selector": labels},
            **_spread(blend.router.replicas),
        }
    ]


def _simulated(simulation: Simulation, service: str, tracing: Tracing | None) -> dict[str, Any]:
    if simulation.accelerator == "cpu":
        return _actor(simulation.cpus, service, tracing, simulation.replica_group)
    return _actor(1, service, tracing) | replica_options(simulation)


def _spread(replicas: RouterReplicas) -> dict[str, Any]:
    most = replicas.max_per_node
    return {} if most is None else {"max_replicas_per_node": most}


def _router_app(blend: BlendConfig, http_port: int) -> dict[str, Any]:
    user_config = {
        "blend": blend.model_dump(mode="json", exclude_none=True),
        "components_url": f"http://127.0.0.1:{http_port}",
    }
    router = {
        "name": "Router",
        "user_config": user_config,
        **_actor(blend.router.cpus, "blended-router", blend.tracing, blend.router.replica_group),
        **_scaling(blend.router.replicas, _ROUTER_POLICY, metrics_interval_s=REPORT_S),
        **_spread(blend.router.replicas),
    }
    return {
        "name": ROUTER_APP,
        "route_prefix": "/",
        "import_path": "blended.app:build_router",
        "args": {},
        "deployments": [router],
    }


def _actor(
    cpus: float, service: str, tracing: Tracing | None, group: str | None = None
) -> dict[str, Any]:
    options: dict[str, Any] = {"num_cpus": cpus}
    if labels := selector(group):
        options["label_selector"] = labels
    if env_vars := environment(service, tracing):
        options["runtime_env"] = {"env_vars": env_vars}
    return {"ray_actor_options": options}


def _component_scaling(component: Served) -> dict[str, Any]:
    """The same policy for every component, because another policy would restart its replicas.

    Other arguments of the policy would restart them too, so the router reports the capacity.
    """
    policy = {"policy_function": _COMPONENT_POLICY, "policy_kwargs": {"component": component.id}}
    replicas = component.replicas
    delay_s = replicas.upscale_delay_s if replicas.capacity is None else 0.0
    return _scaling(replicas, policy, upscale_delay_s=delay_s)


def _scaling(replicas: Replicas, policy: dict[str, Any], **more: float) -> dict[str, Any]:
    return {
        "autoscaling_config": {
            "policy": policy,
            "min_replicas": replicas.min,
            "max_replicas": replicas.max,
            "initial_replicas": replicas.min,
            "target_ongoing_requests": replicas.target_ongoing_requests,
            "upscale_delay_s": replicas.upscale_delay_s,
            "downscale_delay_s": replicas.downscale_delay_s,
            **more,
        },
        "max_ongoing_requests": replicas.max_ongoing_requests,
        "max_queued_requests": replicas.max_queued_requests,
        "backpressure_config": {"status_code": 429, "retry_after_s": RETRY_AFTER_S["overloaded"]},
        "graceful_shutdown_timeout_s": replicas.graceful_shutdown_timeout_s,
        # Ray notices a dead replica at once. One that hangs is replaced after three checks, which
        # closes the connections of those that wait for it; a busy one may answer late.
        "health_check_period_s": 5,
        "health_check_timeout_s": 15,
    }


class _SimulatedReplica:
    def __init__(self, name: str, simulation: Simulation) -> None:
        from ray import serve

        replica = serve.get_replica_context().replica_tag
        self._component = Simulated(name, simulation, os.environ[INTERNAL_KEY_ENV], replica)

    async def __serve_build_asgi_app__(self) -> Any:
        return self._component.application()


class _RewardReplica:
    def __init__(self, args: RewardArgs) -> None:
        from ray import serve

        replica = serve.get_replica_context().replica_tag
        score, version = _scorer(args)
        self._model = RewardServer(
            score, version, os.environ[INTERNAL_KEY_ENV], replica, args.ms / 1e3
        )

    async def __serve_build_asgi_app__(self) -> Any:
        return self._model.application()


def _scorer(args: RewardArgs) -> tuple[Scorer, str]:
    """What scores texts, and its version."""
    if args.kind == "simulated":
        return simulated_scorer(args.correlation), described(args.correlation)
    # Only here: NumPy is nothing that the other builders need.
    from blended.reward.linear import LinearReward

    model = LinearReward.load(Path(args.model).expanduser())
    return model.scores, model.version
