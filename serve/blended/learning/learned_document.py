"""What the draws tell about mixes, as JSON's types."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from blended.experiments.statistics import ALPHA
from blended.learning.components_document import number, off
from blended.learning.decisions import REASONS
from blended.learning.estimates import FEWEST_USERS, Value
from blended.learning.gradient import OUTCOMES
from blended.learning.handoffs import Handoffs
from blended.learning.learned import Learned, MixValue
from blended.learning.rewards import COST, REWARDS

LEFT_OUT = {
    **REASONS,
    "unanswered": "that no component answered",
    "unknown": "of earlier versions, whose records do not tell which components could be drawn",
}
# A gradient is shown for so much more of a component's share.
GRADIENT_STEP = 0.1
CANNOT_TELL = (
    "A mix's value is that of drawing one response by it, while all others stay as they were "
    "drawn. A mix that changes whole conversations needs an arm.",
    "The gradients are directions at the mix that was drawn. How far they lead, an experiment "
    "tells.",
    "Rows of the hand-offs differ also by who went on after that component; within a row all is by "
    "chance.",
)


def document(
    learned: Learned, since: float, until: float, simulated: bool = False
) -> dict[str, Any]:
    """Everything; means are per response, shares parts of 1, times in UTC.

    `simulated` tells that some of the users are.
    """
    return {
        "simulated": simulated,
        "since": _time(since),
        "until": _time(until),
        "interval": "always valid",
        "alpha": ALPHA,
        "components": list(learned.components),
        "shares": dict(learned.shares),
        "users": learned.users,
        "responses": learned.responses,
        "left_out": dict(learned.left_out),
        "faults": [fault for mix in learned.mixes for fault in off(mix.name, mix.mean_weight)],
        "as_drawn": _numbers(learned.as_drawn),
        "mixes": {mix.name: _mix(mix) for mix in learned.mixes},
        "gradients": {
            found.outcome.name: {
                "mean": found.mean,
                "users": found.users,
                "toward": _numbers(found.toward),
            }
            for found in learned.gradients
        },
        "surrogates": [dict(vars(found)) for found in learned.surrogates],
        "handoffs": {found.reward: _handoffs(found) for found in learned.handoffs},
        "cannot_tell": list(CANNOT_TELL),
        "labels": {
            **{reward.name: reward.label for reward in (*REWARDS, COST)},
            **{outcome.name: outcome.label for outcome in OUTCOMES},
        },
        "definitions": {reward.name: reward.definition for reward in (*REWARDS, COST)},
    }


def _mix(mix: MixValue) -> dict[str, Any]:
    few = mix.effective
    refusal = (
        f"The mix '{mix.name}' has the draws of {few:.0f} effective users behind it, and needs "
        f"{FEWEST_USERS} at least."
    )
    return {
        "shares": dict(mix.shares),
        "effective_users": few,
        "refused": None if mix.is_known else refusal,
        "mean_weight": _known(mix.mean_weight),
        "values": _numbers(mix.snips),
        "doubly_robust": _numbers(mix.robust),
        "gain": _numbers(mix.gain),
        "engine_s": _known(mix.cost),
    }


def _handoffs(found: Handoffs) -> dict[str, Any]:
    return {
        "interaction_p": found.interaction_p,
        "after": {
            before: {
                present: number(found.cells[before, present])
                for present in found.components
                if (before, present) in found.cells
            }
            for before in found.components
        },
    }


def _numbers(values: Mapping[str, Value]) -> dict[str, Any]:
    return {name: _known(value) for name, value in values.items()}


def _known(value: Value) -> dict[str, float] | None:
    return number(value) if value.is_known else None


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
