"""A blend as one YAML file; every mistake is reported at once."""

from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, model_validator
from pydantic_core import InitErrorDetails

from blended.config.base import Frozen, Identifier, Json
from blended.config.best_of import BestOf
from blended.config.checks import inconsistencies
from blended.config.components import (
    AnyComponent,
    Hardware,
    RemoteComponent,
    SimulatedComponent,
    VllmComponent,
)
from blended.config.experiment_checks import of_experiments
from blended.config.experiments import Arm, Experiment
from blended.config.policies import Policy
from blended.config.reward import AnyReward
from blended.config.service import Api, Journal, Router, Selection, Tracing

Served = VllmComponent | SimulatedComponent | AnyReward


class BlendConfig(Frozen):
    """A whole blend; `name` is its model id in the API.

    `holdout` is the part of the users who are kept out of every experiment.

    Raises:
        pydantic.ValidationError: with every mistake, those between fields included.
    """

    name: Identifier
    description: str = ""
    components: tuple[AnyComponent, ...]
    reward: AnyReward | None = None
    selection: Selection = Selection()
    api: Api = Api()
    journal: Journal = Journal()
    tracing: Tracing | None = None
    router: Router = Router()
    experiments: tuple[Experiment, ...] = ()
    holdout: Annotated[float, Field(ge=0, lt=1)] = 0

    @model_validator(mode="wrap")
    @classmethod
    def _report_everything_at_once(cls, data: Json, handler: Any) -> Self:
        # Pydantic would check between fields only once every single field is right.
        if isinstance(data, cls):
            return data
        errors = [_inconsistency(*found) for found in inconsistencies(data)]
        try:
            config: Self = handler(data)
            errors += [_inconsistency(*found) for found in of_experiments(config.experiments)]
        except ValidationError as exc:
            errors = [_details(error) for error in exc.errors(include_url=False)] + errors
        if errors:
            raise ValidationError.from_exception_data(cls.__name__, errors, hide_input=True)
        return config

    @property
    def weights(self) -> dict[str, float]:
        """The weight of every component, in the order of the file."""
        given = self.selection.weights
        return {c.id: 1.0 if given is None else given.get(c.id, 0.0) for c in self.components}

    def policy_of(self, arm: Arm | None) -> Policy | None:
        """The policy that draws for an arm, or for users without one; None where weights do."""
        if arm is None or (arm.policy is None and arm.weights is None):
            return self.selection.policy
        return arm.policy

    @property
    def policies(self) -> tuple[Policy, ...]:
        """Every policy that may draw."""
        arms = (arm for experiment in self.experiments for arm in experiment.arms)
        given = [self.selection.policy, *(arm.policy for arm in arms)]
        return tuple(dict.fromkeys(policy for policy in given if policy is not None))

    @property
    def recalls(self) -> bool:
        """Whether the router keeps what policies may know of a conversation."""
        return self.selection.recall or bool(self.policies)

    @property
    def served(self) -> tuple[Served, ...]:
        """What has replicas here: the components that are no remote APIs, and the reward model."""
        ours = [c for c in self.components if not isinstance(c, RemoteComponent)]
        return (*ours, *(() if self.reward is None else (self.reward,)))

    @property
    def hardware(self) -> dict[str, Hardware]:
        """The hardware of one replica, for everything that is served here."""
        return {one.id: one.hardware for one in self.served}

    @property
    def gpus(self) -> dict[str, float]:
        """The GPUs of one replica, or its share of one, of everything that takes any."""
        return {name: hardware.gpus for name, hardware in self.hardware.items() if hardware.gpus}

    def best_of(self, component: AnyComponent, arm: Arm | None = None) -> BestOf | None:
        """The candidates of a component's responses, in an arm or without one; None for one."""
        found = component.best_of if arm is None or arm.best_of is None else arm.best_of
        return None if self.reward is None or found is None or found.k == 1 else found

    @property
    def replica_groups(self) -> tuple[str, ...]:
        """The groups of nodes to which the router and components are restricted, each once."""
        named = [self.router.replica_group, *(h.replica_group for h in self.hardware.values())]
        return tuple(dict.fromkeys(group for group in named if group is not None))

    def arm_weights(self, arm: Arm) -> dict[str, float]:
        """The weight of every component in an arm of an experiment, in the order of the file."""
        if arm.weights is None:
            return self.weights
        return {component.id: arm.weights.get(component.id, 0.0) for component in self.components}


def _inconsistency(path: Any, value: Any, error: Any) -> InitErrorDetails:
    return InitErrorDetails(type=error, loc=path, input=value)


def _details(error: Any) -> InitErrorDetails:
    return InitErrorDetails(
        type=error["type"], loc=error["loc"], input=error["input"], ctx=error.get("ctx", {})
    )
