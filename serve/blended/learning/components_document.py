"""What the components of an experiment do to what comes next, as JSON's types."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from blended.experiments.definition import Definition
from blended.experiments.statistics import ALPHA
from blended.learning.components import Aftermath, ArmComponents
from blended.learning.decisions import REASONS
from blended.learning.estimates import FEWEST_USERS, Value
from blended.learning.rewards import AFTERMATH

_ROUNDING = 1e-9
CANNOT_TELL = (
    "Whether users come back or stay for longer over days: a user's draws share one fate. Compare "
    "arms for that.",
    "What a component would do on its own: every response here follows on the responses of all. "
    "A component may live on what the others have said, or spoil it.",
)


def document(
    definition: Definition, arms: Iterable[ArmComponents], left_out: Mapping[str, int], until: float
) -> dict[str, Any]:
    """Everything; means are per response, times in UTC."""
    return {
        "experiment": definition.name,
        "simulated": definition.simulated,
        "until": datetime.fromtimestamp(until, UTC).isoformat(timespec="seconds"),
        "interval": "always valid",
        "alpha": ALPHA,
        "arms": {found.arm: _arm(found) for found in arms},
        "left_out": {reason: left_out[reason] for reason in REASONS},
        "cannot_tell": list(CANNOT_TELL),
        "labels": {reward.name: reward.label for reward in AFTERMATH},
        "goals": {reward.name: reward.goal for reward in AFTERMATH},
        "definitions": {reward.name: reward.definition for reward in AFTERMATH},
    }


def _arm(found: ArmComponents) -> dict[str, Any]:
    return {
        "against": found.against,
        "users": found.users,
        "responses": found.responses,
        "partial": found.partial,
        "faults": [fault for name, w in found.weights.items() for fault in off(name, w)],
        "probabilities": {name: p for name, p in found.probabilities.items() if p},
        "mean_weights": {name: number(w) for name, w in found.weights.items() if w.is_known},
        "too_few": {
            name: f"'{name}' has the draws of {users:.0f} effective users, and needs those of "
            f"{FEWEST_USERS} at least; wait."
            for name, users in found.few.items()
        },
        "measures": {
            reward.name: {
                o.component: _aftermath(o) for o in found.found if o.measure == reward.name
            }
            for reward in AFTERMATH
        },
    }


def _aftermath(found: Aftermath) -> dict[str, Any]:
    return {
        **number(found.value),
        "difference": None if found.difference is None else number(found.difference),
        "p": found.p,
        "corrected_p": found.corrected_p,
    }


def off(name: str, weight: Value) -> Iterator[str]:
    """That a mean weight is not 1, if it is not."""
    if not weight.is_known:
        return
    low, high = weight.interval()
    if not low - _ROUNDING <= 1 <= high + _ROUNDING:
        yield (
            f"The mean weight of '{name}' is {weight.value:.3f} ({low:.3f} to {high:.3f}), and has "
            "to be 1: components were not drawn with the probabilities in the journal, or records "
            "of some are lost. No value here is to be trusted until the cause is found."
        )


def number(value: Value) -> dict[str, float]:
    """A value with its always-valid interval."""
    low, high = value.interval()
    return {"value": value.value, "low": low, "high": high, "effective_users": value.effective}
