"""The blend of a router replica: its configuration with addresses and keys filled in."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import get_args

from blended.config import (
    AnyComponent,
    Arm,
    BestOf,
    BlendConfig,
    Capability,
    Dialect,
    Engine,
    Experiment,
    Health,
    History,
    Policy,
    RemoteComponent,
    Sampling,
    Timeouts,
    VllmComponent,
    VllmReward,
)
from blended.errors import ConfigError
from blended.experiments.assignment import Assignment, assign
from blended.experiments.definition import Definition
from blended.folders import state_dir
from blended.internal import (
    INTERNAL_KEY_ENV,
    INTERNAL_PORT_ENV,
    PRIORITY,
    REWARD,
    REWARD_PREFIX,
    prefix,
)
from blended.learning import policy as fitted
from blended.learning import policy_files
from blended.router.scoring import Reward
from blended.router.selection import SelectionDistribution, normalise

logger = logging.getLogger(__name__)

CLIENT_KEY_ENV = "BLENDED_API_KEY"


@dataclass(frozen=True)
class Upstream:
    """The address of one component, an OpenAI-compatible API of any kind, and how to ask it.

    `tokenize_url` counts a prompt's tokens, if the component can. `gpus` are those of one
    replica, or its share of one. `is_ours` is true for a component of this deployment, false for a
    remote API. `dialect` says which fields it takes; `capabilities` is what it can do beyond texts.
    `passthrough` lists the fields that reach it beyond those that reach every component.
    `reads_ahead` is true for a component that reads conversations ahead, `takes_priority` for one
    that then lets requests pass. `salt_secret` keys the salts of its prefix cache; None if it takes
    no salts.
    """

    id: str
    kind: str
    description: str
    base_url: str
    model: str
    key: str | None
    sampling: Sampling
    timeouts: Timeouts
    health: Health
    history: History
    context_tokens: int | None
    tokenize_url: str | None
    max_replicas: int
    gpus: float
    is_ours: bool
    dialect: Dialect
    capabilities: frozenset[Capability]
    passthrough: tuple[str, ...]
    reads_ahead: bool
    takes_priority: bool
    salt_secret: str | None = field(repr=False)

    def authorization(self) -> dict[str, str]:
        """The header with the component's key, if it needs one."""
        return {"authorization": f"Bearer {self.key}"} if self.key else {}


@dataclass(frozen=True)
class Blend:
    """Everything that the router needs to answer, replaced as a whole when the config changes.

    `arms` are the selection distributions by experiment and arm. `since` is when this router took
    the blend, in Unix seconds. `policies` are those that draw in place of such distributions, None
    for one that could not be read. `reward` chooses among candidates, if there is a reward model.
    """

    config: BlendConfig
    upstreams: Mapping[str, Upstream]
    distribution: SelectionDistribution
    arms: Mapping[str, Mapping[str, SelectionDistribution]]
    since: int
    policies: Mapping[Policy, fitted.Policy | None]
    reward: Reward | None = None

    def drawable(self) -> list[Upstream]:
        """The components that some request for the blend may be given, arms included."""
        arms = (distribution for arms in self.arms.values() for distribution in arms.values())
        distributions = [d.by_component for d in (self.distribution, *arms)]
        chances = {name for d in distributions for name, chance in d.items() if chance > 0}
        return [upstream for name, upstream in self.upstreams.items() if name in chances]

    def per_conversation(self, model: object, assignment: Assignment | None) -> int | None:
        """The number of seats in a conversation with `model`, None without seats."""
        if model != self.config.name:
            return None
        whole, arm = self.config.selection.per_conversation, self._arm(assignment)
        return whole if arm is None else arm.per_conversation or whole

    def policy_of(self, assignment: Assignment | None) -> Policy | None:
        """The policy that draws for the arm that decides a request, if one does."""
        return self.config.policy_of(self._arm(assignment))

    def best_of(
        self, component: str, model: object, assignment: Assignment | None
    ) -> BestOf | None:
        """The candidates of a component's responses to requests for `model`; None for one."""
        if self.reward is None:
            return None
        arm = self._arm(assignment) if model == self.config.name else None
        return self.config.best_of(self._components[component], arm)

    @cached_property
    def _components(self) -> dict[str, AnyComponent]:
        return {component.id: component for component in self.config.components}

    def _arm(self, assignment: Assignment | None) -> Arm | None:
        """The arm's settings; None if no experiment decides, or it is gone."""
        if assignment is None or assignment.experiment is None:
            return None
        found = (e for e in self.config.experiments if e.name == assignment.experiment)
        arms = (arm for experiment in found for arm in experiment.arms)
        return next((arm for arm in arms if arm.id == assignment.arm), None)

    def assignment(
        self, model: object, user: str | None, at: float, since: float | None
    ) -> Assignment | None:
        """The arm that decides a request: it asks for the blend, and its user has an arm."""
        if user is None or model != self.config.name or not self.config.experiments:
            return None
        return assign(self.config.experiments, self.config.holdout, user, at, since)


def resolve(config: BlendConfig, components_url: str, environ: Mapping[str, str]) -> Blend:
    """Fill in addresses, keys and policies.

    `components_url` is Serve's address, without a path; a node's routers use a port of their own
    for it, if the environment names one.

    Raises:
        ConfigError: a component's key is not in the environment.
    """
    if port := environ.get(INTERNAL_PORT_ENV):
        components_url = f"http://127.0.0.1:{port}"
    upstreams = {c.id: _upstream(c, components_url, environ) for c in config.components}
    arms = {e.name: _distributions(config, e) for e in config.experiments}
    policies = {policy: _usable(policy) for policy in config.policies}
    distribution, reward = normalise(config.weights), _reward(config, components_url, environ)
    return Blend(config, upstreams, distribution, arms, int(time.time()), policies, reward)


def definitions(config: BlendConfig) -> list[Definition]:
    """The experiments of a blend, with everything on which their results depend."""
    gpus = {component.id: _gpus(component) for component in config.components}
    return [
        Definition.of(
            experiment,
            {i: d.by_component for i, d in _distributions(config, experiment).items()},
            gpus,
            config.selection.per_conversation,
            _policies(config, experiment),
            {arm.id: _candidates(config, arm) for arm in experiment.arms},
        )
        for experiment in config.experiments
    ]


def _reward(config: BlendConfig, components_url: str, environ: Mapping[str, str]) -> Reward | None:
    found = config.reward
    if found is None:
        return None
    if not (key := environ.get(INTERNAL_KEY_ENV)):
        raise ConfigError(
            f"The reward model needs the key in the environment variable {INTERNAL_KEY_ENV} of the "
            "router, which is not set; set it on the nodes before Ray starts."
        )
    return Reward(
        base_url=f"{components_url}{REWARD_PREFIX}",
        model=REWARD,
        key=key,
        timeout_s=found.timeout_ms / 1e3,
        tokens=found.tokens,
        version=(found.version or found.engine.model) if isinstance(found, VllmReward) else None,
    )


def _candidates(config: BlendConfig, arm: Arm) -> dict[str, BestOf]:
    found = {component.id: config.best_of(component, arm) for component in config.components}
    return {name: best_of for name, best_of in found.items() if best_of is not None}


def _distributions(config: BlendConfig, experiment: Experiment) -> dict[str, SelectionDistribution]:
    return {arm.id: normalise(config.arm_weights(arm)) for arm in experiment.arms}


def _policies(config: BlendConfig, experiment: Experiment) -> dict[str, str]:
    given = {arm.id: config.policy_of(arm) for arm in experiment.arms}
    return {arm: policy.reference for arm, policy in given.items() if policy is not None}


def _usable(policy: Policy) -> fitted.Policy | None:
    """A policy from its file; None for one that is of no use here, and the log says why."""
    try:
        return policy_files.usable(state_dir() / policy_files.FOLDER, policy)
    except ConfigError as exc:
        logger.error("%s Until then the weights decide.", exc)
        return None


def _upstream(component: AnyComponent, components_url: str, environ: Mapping[str, str]) -> Upstream:
    context_tokens, tokenize_url = component.context_tokens, None
    if isinstance(component, RemoteComponent):
        base_url, model = component.base_url.rstrip("/"), component.model
        variable = component.api_key_env
    else:
        base_url, model = f"{components_url}{prefix(component.id)}/v1", component.id
        variable = INTERNAL_KEY_ENV
    if isinstance(component, VllmComponent):
        context_tokens = context_tokens or component.engine.max_model_len
        tokenize_url = f"{components_url}{prefix(component.id)}/tokenize"
    key = environ.get(variable) if variable else None
    if variable and not key:
        raise ConfigError(
            f"Component '{component.id}' needs its key in the environment variable {variable} "
            "of the router, which is not set; set it on the nodes before Ray starts."
        )
    return Upstream(
        id=component.id,
        kind=component.kind,
        description=component.description,
        base_url=base_url,
        model=model,
        key=key,
        sampling=component.sampling,
        timeouts=component.timeouts,
        health=component.health,
        history=component.history,
        context_tokens=context_tokens,
        tokenize_url=tokenize_url,
        max_replicas=1 if isinstance(component, RemoteComponent) else component.replicas.max,
        gpus=_gpus(component),
        is_ours=not isinstance(component, RemoteComponent),
        dialect=component.dialect if isinstance(component, RemoteComponent) else "vllm",
        capabilities=_capabilities(component),
        passthrough=component.passthrough,
        reads_ahead=not isinstance(component, RemoteComponent) or component.prefetch,
        takes_priority=isinstance(component, VllmComponent) and _takes_priority(component.engine),
        salt_secret=_salt_secret(component, environ, key),
    )


def _takes_priority(engine: Engine) -> bool:
    return bool(engine.args.get("scheduling_policy", PRIORITY) == PRIORITY)


def _salt_secret(
    component: AnyComponent, environ: Mapping[str, str], key: str | None
) -> str | None:
    if not isinstance(component, VllmComponent) and "cache_salt" not in component.passthrough:
        return None
    secret = environ.get(INTERNAL_KEY_ENV) or key
    if not secret:
        raise ConfigError(
            f"Component '{component.id}' lists cache_salt, whose salts need a secret: set "
            f"{INTERNAL_KEY_ENV} on the router's nodes, or give the component an api_key_env."
        )
    return secret


def _capabilities(component: AnyComponent) -> frozenset[Capability]:
    if component.capabilities is not None:
        return frozenset(component.capabilities)
    if not isinstance(component, VllmComponent):
        is_mistral = isinstance(component, RemoteComponent) and component.dialect == "mistral"
        return frozenset(get_args(Capability)) - ({"logprobs"} if is_mistral else set())
    args = component.engine.args
    found: set[Capability] = {"json_schema", "logprobs"}
    if args.get("enable_auto_tool_choice") and args.get("tool_call_parser"):
        found.add("tools")
    if args.get("reasoning_parser"):
        found.add("reasoning")
    return frozenset(found)


def _gpus(component: AnyComponent) -> float:
    return component.engine.gpus if isinstance(component, VllmComponent) else 0
