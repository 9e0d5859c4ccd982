"""The demands for which plans are tested, with their plans and the expected outcomes."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from blended.config import BlendConfig, Frozen
from blended.config.loading import load, parse_as
from cluster.capacity import planning, profile_files
from cluster.capacity.planning import CapacityPlan, Demand
from cluster.capacity.queueing import ComponentQueue, Curve, Lengths, ServiceLevel

FOLDER = Path(__file__).parent
PROFILES = profile_files.FOLDER / "simulated"

Positive = Annotated[float, Field(gt=0)]


class Case(Frozen):
    """One demand: weights, responses per second, tokens of prompts and responses, and the level."""

    weights: Mapping[str, float]
    rate: Positive
    prompt: Positive
    response: Annotated[float, Field(ge=2)]
    ttft_s: Positive
    itl_s: Positive
    goodput: Annotated[float, Field(gt=0, lt=1)] = 0.99

    @property
    def demand(self) -> Demand:
        """As a plan takes it, with no replica to spare."""
        level = ServiceLevel(self.ttft_s, self.itl_s, self.goodput)
        return Demand((self.rate,), Lengths(self.prompt, self.response), level, spare=0)


class Cases(Frozen):
    """The cases of a file."""

    cases: Annotated[tuple[Case, ...], Field(min_length=1)]


@dataclass(frozen=True)
class Expectation:
    """The plan of a case, and the expected shares of good responses.

    `fewer` is with one replica fewer of `tightest`, the component that is nearest to its limit.
    """

    plan: CapacityPlan
    tightest: str
    planned: float
    fewer: float

    def replicas(self, is_fewer: bool) -> dict[str, int]:
        """By component: the planned ones, or those with one fewer of the tightest."""
        counts = {name: found.max_replicas for name, found in self.plan.components.items()}
        return counts | {self.tightest: counts[self.tightest] - is_fewer}


def read() -> tuple[BlendConfig, tuple[Case, ...]]:
    """The blend that is served, and the cases.

    Raises:
        ConfigError: with every mistake of a file.
    """
    path = FOLDER / "cases.yaml"
    return load(str(FOLDER / "blend.yaml")), parse_as(Cases, path.read_text(), str(path)).cases


def curves(blend: BlendConfig) -> dict[str, Curve]:
    """The profiles of the components.

    Raises:
        ConfigError: a profile is not there, or not one of this component.
    """
    return {c.id: profile_files.load(c, PROFILES).curve() for c in blend.components}


def expect(blend: BlendConfig, case: Case, curves: Mapping[str, Curve]) -> Expectation:
    """Plan a case, and compute its expected outcome.

    Raises:
        ValueError: a component cannot meet the level, or none has a replica that could be missing.
    """
    weighted = blend.selection.model_copy(update={"weights": dict(case.weights)})
    found = planning.plan(blend.model_copy(update={"selection": weighted}), curves, case.demand)
    counts = {name: c.max_replicas for name, c in found.components.items()}
    several = [name for name, count in counts.items() if count > 1]
    if not several:
        raise ValueError(f"one replica of each component is enough for {case}; ask for more")
    part = {name: c.rate / c.capacity[-1] for name, c in found.components.items()}
    tightest = max(several, key=part.__getitem__)
    fewer = counts | {tightest: counts[tightest] - 1}
    return Expectation(found, tightest, *(_good(found, case, curves, n) for n in (counts, fewer)))


def served(
    blend: BlendConfig, case: Case, plan: CapacityPlan, replicas: Mapping[str, int]
) -> dict[str, Any]:
    """The blend as data, with the weights of a case, the plan's limits and so many replicas."""
    data = blend.model_dump(mode="json", exclude_none=True)
    for component in data["components"]:
        found, count = plan.components[component["id"]], replicas[component["id"]]
        component["replicas"] = {
            "min": count,
            "max": count,
            "target_ongoing_requests": found.target_ongoing_requests,
            "max_ongoing_requests": found.max_ongoing_requests,
            "max_queued_requests": found.max_queued_requests,
        }
    return data | {"selection": {"weights": dict(case.weights)}}


def _good(
    plan: CapacityPlan, case: Case, curves: Mapping[str, Curve], counts: Mapping[str, int]
) -> float:
    lengths, level = case.demand.lengths, case.demand.level
    missed = {
        name: ComponentQueue(curves[name], lengths, level, "least")
        .load(c.rate, counts[name])
        .missed
        for name, c in plan.components.items()
    }
    return 1 - sum(c.share * missed[name] for name, c in plan.components.items())
