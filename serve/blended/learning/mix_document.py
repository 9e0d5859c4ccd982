"""The move of a mix as JSON's types."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from blended.experiments.statistics import ALPHA
from blended.learning.ascent import Apart
from blended.learning.components_document import number
from blended.learning.estimates import Value
from blended.learning.mix import Proposal
from blended.learning.rewards import COST, REWARDS

ONE_MIX = (
    "A component's value is that of one response of it among those of the others, as they were "
    "drawn. What the mix is worth, the holdback tells."
)
WINDOW = (
    "Responses count half after each {days:g} days, so that always-valid bounds hold within such a "
    "window of days only."
)


def document(proposal: Proposal, simulated: bool = False) -> dict[str, Any]:
    """Everything; means are per response, shares parts of 1, times in UTC."""
    evidence, setting, move = proposal.evidence, proposal.setting, proposal.move
    window = () if proposal.half_life_days == float("inf") else (_window(proposal),)
    return {
        "blend": setting.blend.name,
        "experiment": setting.experiment.name,
        "simulated": simulated,
        "reward": proposal.reward,
        "label": next(r.label for r in REWARDS if r.name == proposal.reward),
        "since": _time(proposal.since),
        "until": _time(proposal.until),
        "half_life_days": proposal.half_life_days if window else None,
        "interval": "always valid",
        "alpha": ALPHA,
        "floor": proposal.rules.floor,
        "max_step": proposal.rules.max_step,
        "in_force_since": _time(proposal.in_force.since),
        "evidence_since": _time(proposal.in_force.evidence_since),
        "kind": move.kind,
        "reason": move.reason,
        "shares": dict(setting.shares),
        "next": dict(move.shares),
        "components": {name: _component(proposal, name) for name in setting.shares},
        "engine_s": {
            "now": _cost(setting.shares, evidence.costs),
            "next": _cost(move.shares, evidence.costs),
        },
        "pairs": [vars(pair) for pair in evidence.pairs],
        "arms": {
            "adaptive": _known(evidence.adaptive),
            "holdback": _known(evidence.holdback),
            "difference": _apart(evidence.over_uniform),
        },
        "faults": list(evidence.faults),
        "left_out": dict(evidence.left_out),
        "notes": [*window, ONE_MIX],
        "labels": {COST.name: COST.label},
    }


def _window(proposal: Proposal) -> str:
    return WINDOW.format(days=proposal.half_life_days)


def _component(proposal: Proposal, name: str) -> dict[str, Any]:
    evidence = proposal.evidence
    value, cost = evidence.values.get(name), evidence.costs.get(name)
    return {
        "share": proposal.setting.shares[name],
        "next": proposal.move.shares[name],
        "ceiling": proposal.rules.ceilings.get(name),
        "value": number(value) if value else None,
        "engine_s": number(cost) if cost else None,
    }


def _cost(shares: Mapping[str, float], costs: Mapping[str, Value]) -> float | None:
    """Engine seconds per response of a mix; None where those of a component are not known."""
    if not shares.keys() <= costs.keys():
        return None
    return sum(share * costs[name].value for name, share in shares.items())


def _known(value: Value) -> dict[str, float] | None:
    return number(value) if value.is_known else None


def _apart(pair: Apart | None) -> dict[str, float] | None:
    return {"value": pair.value, "low": pair.low, "high": pair.high} if pair else None


def _time(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
