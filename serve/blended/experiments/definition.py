"""An experiment as the journal keeps it, so that reading the records needs no configuration."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from blended.config import BestOf, Experiment, Rehearsal


@dataclass(frozen=True)
class ArmDefinition:
    """An arm: its part of the experiment's users, its selection distribution, and its seats.

    Components that are never drawn are left out, so that a new component changes no arm. An
    `adaptive` arm has no probabilities here: they are those of the blend at any moment. Where a
    `policy` draws, by its name and version, the distribution is what it falls back to. `best_of`
    are the candidates of the components that give several, None where none does.
    """

    id: str
    share: float
    probabilities: Mapping[str, float]
    per_conversation: int | None = None
    adaptive: bool = False
    policy: str | None = None
    best_of: Mapping[str, Mapping[str, int]] | None = None

    def to_json(self) -> dict[str, Any]:
        """As JSON's types, without what only some arms have: versions stay as they once were."""
        return {
            name: value
            for name, value in asdict(self).items()
            if name not in ("adaptive", "policy", "best_of") or value
        }


@dataclass(frozen=True)
class Definition:
    """Everything that an experiment's result depends on; times are Unix seconds.

    `gpus` is what one replica of a component takes. `day_s` is how long a day lasts; where users
    are `simulated` it may be shorter than people's. Days begin `offset_s` before midnight in UTC.
    `margins` are how much worse a guardrail may be.
    """

    name: str
    salt: str
    layer: str
    users: tuple[float, float]
    eligible: str
    start: float
    end: float
    control: str
    arms: tuple[ArmDefinition, ...]
    gpus: Mapping[str, float]
    session_gap_s: float
    day_s: float
    simulated: bool
    offset_s: float = 0.0
    margins: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        experiment: Experiment,
        distributions: Mapping[str, Mapping[str, float]],
        gpus: Mapping[str, float],
        per_conversation: int | None = None,
        policies: Mapping[str, str] | None = None,
        best_of: Mapping[str, Mapping[str, BestOf]] | None = None,
    ) -> Self:
        """From the configuration; `distributions` are the arms' probabilities by component.

        `per_conversation` are the blend's own seats of a conversation, `policies` those of arms
        that have one, `best_of` the candidates by arm and component, of those that give several.
        """
        total = sum(arm.share for arm in experiment.arms)
        rehearsal = experiment.rehearsal
        return cls(
            name=experiment.name,
            salt=experiment.salt or experiment.name,
            layer=experiment.layer,
            users=experiment.users,
            eligible=experiment.eligible,
            start=experiment.start.timestamp(),
            end=experiment.end.timestamp(),
            control=experiment.control,
            arms=tuple(
                ArmDefinition(
                    arm.id,
                    arm.share / total,
                    {} if arm.adaptive else _drawn(distributions[arm.id]),
                    arm.per_conversation or per_conversation,
                    arm.adaptive,
                    (policies or {}).get(arm.id),
                    _candidates(distributions[arm.id], (best_of or {}).get(arm.id, {})),
                )
                for arm in experiment.arms
            ),
            gpus=gpus,
            session_gap_s=experiment.session_gap_s,
            day_s=(rehearsal or Rehearsal()).day_s,
            simulated=rehearsal is not None,
            offset_s=3600 * experiment.utc_offset_h,
            margins={str(name): margin for name, margin in experiment.guardrails.items()},
        )

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The definition that `to_json` has written."""
        arms = tuple(ArmDefinition(**arm) for arm in values["arms"])
        return cls(**{**values, "arms": arms, "users": tuple(values["users"])})

    def to_json(self) -> dict[str, Any]:
        """The definition as JSON's types."""
        return {**asdict(self), "arms": [arm.to_json() for arm in self.arms]}

    @property
    def version(self) -> str:
        """A hash: equal definitions have equal versions."""
        text = json.dumps(self.to_json(), sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()

    @property
    def deciding(self) -> tuple[Any, ...]:
        """The parts that decide arms and treatment, which must not change during the experiment."""
        return self.start, self.salt, self.layer, self.eligible, self.control, self.arms

    def day_of(self, at: float) -> int:
        """The number of the day, since 1970, on which a time lies."""
        return int((at + self.offset_s) // self.day_s)

    def time_of(self, day: int) -> float:
        """When a day begins."""
        return day * self.day_s - self.offset_s


def _drawn(distribution: Mapping[str, float]) -> dict[str, float]:
    return {component: p for component, p in distribution.items() if p}


def _candidates(
    distribution: Mapping[str, float], best_of: Mapping[str, BestOf]
) -> dict[str, dict[str, int]] | None:
    """The candidates of the components that are drawn."""
    found = {
        name: found.model_dump(exclude_none=True)
        for name, found in best_of.items()
        if distribution.get(name)
    }
    return found or None


def refusal(running: Definition, wanted: Definition | None, now: float) -> str | None:
    """The reason why an experiment may not be changed in this way, in a sentence; None if it may.

    While it runs it may take more users at the end of its slice, end at another time, or be
    removed, which ends it.
    """
    if wanted is None or not running.start <= now < running.end:
        return None
    if wanted.deciding != running.deciding:
        what = "its start, salt, layer, eligible users, control and arms stay as they are"
    elif wanted.users[0] != running.users[0] or wanted.users[1] < running.users[1]:
        what = "its slice can only grow at its end"
    else:
        return None
    return (
        f"The experiment '{running.name}' runs, and {what}: users would change their arm, and what "
        "was measured of them would belong to none. Let it end, or give the new one its own name."
    )
