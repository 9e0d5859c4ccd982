"""The models of the API: the blend by its name, and each component by its id."""

from typing import Any

from blended.errors import ApiError
from blended.experiments.assignment import Assignment
from blended.router.blend import Blend, Upstream
from blended.router.selection import SelectionDistribution


def entries(blend: Blend) -> list[dict[str, Any]]:
    """OpenAI's model objects: the blend with its distribution first, then the components."""
    return [_blend_entry(blend), *map(_component_entry, blend.upstreams.values())]


def entry(blend: Blend, model: str) -> dict[str, Any]:
    """The entry of one model.

    Raises:
        ApiError: 404, there is no such model.
    """
    return (
        _blend_entry(blend) if model == blend.config.name else _component_entry(_of(blend, model))
    )


def distribution(
    blend: Blend, model: Any, assignment: Assignment | None = None
) -> SelectionDistribution:
    """For the blend's name the arm's or blend's distribution; for a component's id, that component.

    Raises:
        ApiError: 400, there is no name, or 404, no such model.
    """
    if not isinstance(model, str) or not model:
        message = f"'model' is missing; give '{blend.config.name}'."
        raise ApiError(400, message, "invalid_value", "model")
    if model == blend.config.name:
        if assignment is None or assignment.experiment is None:
            return blend.distribution
        return blend.arms[assignment.experiment][assignment.arm]
    return SelectionDistribution((_of(blend, model).id,), (1.0,))


def _of(blend: Blend, model: str) -> Upstream:
    if model not in blend.upstreams:
        known = ", ".join([blend.config.name, *blend.upstreams])
        message = f"There is no model '{model[:80]}'; the models are {known}."
        raise ApiError(404, message, "model_not_found", "model")
    return blend.upstreams[model]


def _blend_entry(blend: Blend) -> dict[str, Any]:
    entry = _entry(blend.config.name, "blend", blend.config.description)
    return entry | {"selection": blend.distribution.by_component}


def _component_entry(upstream: Upstream) -> dict[str, Any]:
    return _entry(upstream.id, upstream.kind, upstream.description)


def _entry(name: str, kind: str, description: str) -> dict[str, Any]:
    return {
        "id": name,
        "object": "model",
        "created": 0,
        "owned_by": "blended",
        "kind": kind,
        "description": description,
    }
