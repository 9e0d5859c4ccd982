"""Requests that need more than texts are drawn among the components that can do it."""

import math
from collections import Counter
from typing import Any

import pytest

from blended.config import BlendConfig
from blended.router.blend import resolve
from blended.router.needs import among, needs
from blended.router.selection import normalise
from tests.support import ENVIRON, HELLO, rig

ALL = {"tools", "images", "json_schema", "logprobs", "reasoning"}
TOOLS = [{"type": "function", "function": {"name": "now", "parameters": {}}}]
IMAGE = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]
SCHEMA = {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}}}


def mixed(**capabilities: list[str]) -> BlendConfig:
    """A blend whose components have these capabilities; the first has half of the weight."""
    simulation = {"ttft_ms": 0, "itl_ms": 0, "tokens": 4}
    components = [
        {"id": name, "kind": "simulated", "simulation": simulation, "capabilities": found}
        for name, found in capabilities.items()
    ]
    weights = {name: 2.0 if i == 0 else 1.0 for i, name in enumerate(capabilities)}
    return BlendConfig.model_validate(
        {
            "name": "blend",
            "components": components,
            "selection": {"weights": weights},
            "api": {"reveal_component": True},
        }
    )


@pytest.mark.parametrize(
    ("fields", "needed"),
    [
        ({}, ()),
        ({"tools": []}, ()),
        ({"tools": TOOLS}, ("tools",)),
        ({"tools": TOOLS, "tool_choice": "none"}, ()),
        ({"messages": [{"role": "user", "content": IMAGE}]}, ("images",)),
        ({"response_format": {"type": "text"}}, ()),
        ({"response_format": SCHEMA}, ("json_schema",)),
        ({"structured_outputs": {"choice": ["a"]}}, ("json_schema",)),
        ({"logprobs": True}, ("logprobs",)),
        ({"logprobs": False}, ()),
        ({"prompt": "Once", "logprobs": 0}, ("logprobs",)),
        ({"reasoning_effort": "high"}, ("reasoning",)),
        ({"reasoning_effort": "none"}, ()),
        ({"tools": TOOLS, "response_format": SCHEMA}, ("tools", "json_schema")),
    ],
)
def test_the_fields_of_a_request_tell_its_needs(fields: dict[str, Any], needed: Any) -> None:
    """What a field asks for in vain, such as tools that may not be called, is no need."""
    assert needs({"messages": HELLO, **fields}) == needed


async def test_the_draw_is_among_the_components_that_can_in_their_proportions() -> None:
    """The record has the propensities of that draw, and its reason."""
    blend = mixed(a=[], b=["tools"], c=["tools"])
    async with rig(blend) as r:
        answered = Counter[str]()
        for _ in range(60):
            response = await r.chat(tools=TOOLS)
            answered[response.headers["x-blended-component"]] += 1
        await r.chat()

    # By chance one of the two is missing in one run of 2^59.
    assert set(answered) == {"b", "c"}
    for record in r.records[:-1]:
        assert record.needs == ["tools"]
        assert record.probabilities == {"b": 0.5, "c": 0.5}
        assert record.propensity == 0.5
    assert r.records[-1].needs == []
    assert r.records[-1].probabilities == {"a": 0.5, "b": 0.25, "c": 0.25}


@pytest.mark.parametrize("model", ["blend", "a"])
async def test_a_need_that_no_component_has_is_refused_in_the_blends_words(model: str) -> None:
    """The error names the field and the setting; no component is asked."""
    async with rig(mixed(a=[], b=["images"])) as r:
        response = await r.chat(model, tools=TOOLS)

        assert response.status_code == 400
        error = response.json()["error"]
        assert error["param"] == "tools"
        assert "enable_auto_tool_choice" in error["message"]
        assert f"'{model}'" in error["message"]
        assert r.finished() == 0


async def test_an_effort_of_reasoning_is_advice() -> None:
    """It is drawn among components that reason; where none does, it is left out."""
    async with rig(mixed(a=[], b=["reasoning"])) as r:
        response = await r.chat(reasoning_effort="medium")
        assert response.headers["x-blended-component"] == "b"
        assert r.records[-1].needs == ["reasoning"]
    async with rig(mixed(a=[])) as r:
        assert (await r.chat(reasoning_effort="medium")).status_code == 200
        assert r.records[-1].needs == []


async def test_a_component_of_weight_zero_is_not_drawn_for_its_capabilities() -> None:
    """It drains, also when it alone could answer."""
    blend = mixed(a=[], b=["tools"]).model_dump(mode="json")
    blend["selection"]["weights"] = {"a": 1, "b": 0}
    async with rig(BlendConfig.model_validate(blend)) as r:
        assert (await r.chat(tools=TOOLS)).status_code == 400


@pytest.mark.parametrize(
    ("kind", "settings", "expected"),
    [
        ("vllm", {}, {"json_schema", "logprobs"}),
        ("vllm", {"enable_auto_tool_choice": True}, {"json_schema", "logprobs"}),
        (
            "vllm",
            {"enable_auto_tool_choice": True, "tool_call_parser": "hermes"},
            {"json_schema", "logprobs", "tools"},
        ),
        ("vllm", {"reasoning_parser": "qwen3"}, {"json_schema", "logprobs", "reasoning"}),
        ("simulated", {}, ALL),
        ("openai", {}, ALL),
        ("mistral", {}, ALL - {"logprobs"}),
    ],
)
def test_what_a_component_can_do_follows_from_its_file(
    kind: str, settings: dict[str, Any], expected: set[str]
) -> None:
    """An engine's arguments tell it; where nothing does, a component counts as having all."""
    component: dict[str, Any] = {"id": "a", "kind": kind}
    if kind == "vllm":
        component["engine"] = {"model": "demo:ember", "args": settings}
    elif kind != "simulated":
        remote = {"kind": "remote", "base_url": "http://far/v1", "model": "m", "dialect": kind}
        component |= remote
    config = BlendConfig.model_validate({"name": "blend", "components": [component]})

    assert resolve(config, "http://here", ENVIRON).upstreams["a"].capabilities == expected


def test_weights_of_those_that_can_stay_in_proportion() -> None:
    """Of three parts and one part among four, three quarters remain three quarters."""
    found = among(normalise({"a": 3, "b": 1, "c": 4}), (), {})

    assert found is not None
    assert math.isclose(found.by_component["a"] / found.by_component["b"], 3)


async def test_the_rate_that_a_component_has_to_expect_follows_the_needs() -> None:
    """A request with needs counts for the components that have them."""
    async with rig(mixed(a=[], b=["tools"])) as r:
        await r.chat(tools=TOOLS)
        assert r.api.blend is not None
        expected = next(iter(r.api.arrivals.expected(r.api.blend).values()))

        assert expected["a"] == 0
        assert expected["b"] > 0
