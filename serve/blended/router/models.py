"""The models of the API: the blend by its name, and each component by its id."""

from typing import Any

from blended.errors import ApiError
from blended.experiments.assignment import Assignment
from blended.router.blend import Blend, Upstream
from blended.router.refusal import refuse
from blended.router.selection import SelectionDistribution


def entries(blend: Blend) -> list[dict[str, Any]]:
    """OpenAI's model objects: the blend with its distribution first, then the components."""
    components = [_component_entry(blend, upstream) for upstream in blend.upstreams.values()]
    return [_blend_entry(blend), *components]


def entry(blend: Blend, model: str) -> dict[str, Any]:
    """The entry of one model.

    Raises:
        ApiError: 404, there is no such model.
    """
    if model == blend.config.name:
        return _blend_entry(blend)
    return _component_entry(blend, _of(blend, model))


def distribution(
    blend: Blend, model: Any, assignment: Assignment | None = None
) -> SelectionDistribution:
    """For the blend's name the arm's or blend's distribution; for a component's id, that component.

    Raises:
        ApiError: 400, there is no name, or 404, no such model.
    """
    if not isinstance(model, str) or not model:
        refuse("model", model, f"give '{blend.config.name}'")
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
    entry = _entry(blend, blend.config.name, "blend", blend.config.description)
    entry |= {"selection": blend.distribution.by_component}
    return entry | _context([upstream.context_tokens for upstream in blend.drawable()])


def _component_entry(blend: Blend, upstream: Upstream) -> dict[str, Any]:
    entry = _entry(blend, upstream.id, upstream.kind, upstream.description)
    return entry | _context([upstream.context_tokens])


def _context(tokens: list[int | None]) -> dict[str, Any]:
    """vLLM's field: a history within it is shortened for none of the components.

    It is left out where one component's context is unknown: that one may be the smallest.
    """
    known = [count for count in tokens if count is not None]
    return {"max_model_len": min(known)} if known and len(known) == len(tokens) else {}


def _entry(blend: Blend, name: str, kind: str, description: str) -> dict[str, Any]:
    return {
        "id": name,
        "object": "model",
        "created": blend.since,
        "owned_by": "blended",
        "kind": kind,
        "description": description,
    }
