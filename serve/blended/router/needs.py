"""What a request needs beyond texts, and the draw among the components that have it. Pure.

A need is a capability of components. The weights of those that have all needs stay in proportion,
so that the propensity of the draw is known as for any other request.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from blended.config import Capability
from blended.errors import ApiError
from blended.router.blend import Upstream
from blended.router.selection import SelectionDistribution, exclude

_WHAT: Mapping[Capability, str] = {
    "tools": "calls tools",
    "images": "reads images",
    "json_schema": "keeps to a form of its response",
    "logprobs": "reports log probabilities",
}
_HOW: Mapping[Capability, str] = {
    "tools": "an engine calls them with `enable_auto_tool_choice` and `tool_call_parser` in its "
    "arguments; any other component states `capabilities: [tools]`",
    "images": "a component that reads them states `capabilities: [images]`",
    "json_schema": "a component that keeps to it states `capabilities: [json_schema]`",
    "logprobs": "a component that reports them states `capabilities: [logprobs]`",
}
_FIELD: Mapping[Capability, str] = {
    "tools": "tools",
    "images": "messages",
    "json_schema": "response_format",
    "logprobs": "logprobs",
}
_IMAGES = ("image_url", "input_image", "image")
_NO_EFFORT = (None, "none", "minimal")


def needs(payload: Mapping[str, Any]) -> tuple[Capability, ...]:
    """The needs of a checked request."""
    return tuple(_needs(payload))


def among(
    distribution: SelectionDistribution,
    needed: Sequence[Capability],
    upstreams: Mapping[str, Upstream],
) -> SelectionDistribution | None:
    """The distribution over the components that have all needs; None if no component has them."""
    if not needed:
        return distribution
    missing = set(needed)
    return exclude(
        distribution, [name for name, u in upstreams.items() if not missing <= u.capabilities]
    )


def drawn_among(
    model: str,
    distribution: SelectionDistribution,
    needed: tuple[Capability, ...],
    upstreams: Mapping[str, Upstream],
) -> tuple[SelectionDistribution, tuple[Capability, ...]]:
    """The distribution over the components that have what is needed, and what that is.

    An effort of reasoning is advice, which clients send unasked: if no component reasons, it is
    left out.

    Raises:
        ApiError: 400, no component has what is needed.
    """
    wanted = needed
    for wanted in (needed, tuple(need for need in needed if need != "reasoning")):
        if (found := among(distribution, wanted, upstreams)) is not None:
            return found, wanted
    raise _refusal(model, wanted)


def _refusal(model: str, needed: Sequence[Capability]) -> ApiError:
    """The error of a request whose needs no component has."""
    what = " and ".join(_WHAT[need] for need in needed)
    how = "; ".join(_HOW[need] for need in needed)
    message = f"No component of '{model}' {what}; {how}. Leave it out, or ask its operator."
    return ApiError(400, message, "unsupported_parameter", _FIELD[needed[0]])


def _needs(payload: Mapping[str, Any]) -> Iterator[Capability]:
    if payload.get("tools") and payload.get("tool_choice") != "none":
        yield "tools"
    if any(map(_has_image, payload.get("messages") or ())):
        yield "images"
    form = payload.get("response_format") or {}
    if form.get("type", "text") != "text" or payload.get("structured_outputs"):
        yield "json_schema"
    asked = payload.get("logprobs")
    # A completion may ask for the probabilities of 0 alternatives, and 0 equals False.
    if (asked is not None and asked is not False) or payload.get("top_logprobs"):
        yield "logprobs"
    if payload.get("reasoning_effort") not in _NO_EFFORT:
        yield "reasoning"


def _has_image(message: Mapping[str, Any]) -> bool:
    content = message.get("content")
    return isinstance(content, list) and any(part.get("type") in _IMAGES for part in content)
