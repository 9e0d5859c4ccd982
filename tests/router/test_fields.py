"""Which fields of a request reach a component, and which the API refuses."""

import json
from pathlib import Path
from typing import Any

import pytest

from blended.config import BlendConfig
from blended.config.loading import parse
from blended.errors import ConfigError
from blended.router import fields_page
from blended.router.fields import CHAT_FIELDS, COMPLETION_FIELDS
from blended.router.values import is_compilable
from tests.router.field_members import TOOL, error, members, with_enum
from tests.support import HELLO, blend, rig

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kv_transfer_params", {"do_remote_prefill": True, "remote_host": "10.0.0.1"}),
        ("ec_transfer_params", {"a": 1}),
        ("priority", -100),
        ("cache_salt", "another's"),
        ("vllm_xargs", {"a": 1}),
        ("mm_processor_kwargs", {"a": 1}),
        ("media_io_kwargs", {"image": {}}),
        ("use_beam_search", True),
        ("ignore_eos", True),
        ("prompt_logprobs", 5),
        ("logits_processors", ["x"]),
        ("return_prompt_text", True),
        ("return_token_ids", True),
        ("return_tokens_as_token_ids", True),
        ("chat_template", "{{ messages }}"),
        ("documents", [{"title": "x"}]),
        ("request_id", "x"),
        ("session_id", "x"),
        ("truncate_prompt_tokens", 1),
        ("prompt_embeds", "x"),
        ("guided_regex", "("),
        ("functions", [{"name": "f"}]),
        ("best_of", 3),
        ("\ufffd", 1),
        ("x" * 100_000, 1),
    ],
)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
async def test_what_is_not_in_the_table_is_refused_by_its_name(
    path: str, name: str, value: Any
) -> None:
    """No component gets it; the error names the field and how it could pass."""
    async with members(a=()) as (r, seen):
        subject = {"messages": HELLO} if "chat" in path else {"prompt": "Once"}
        body = json.dumps({"model": "blend", **subject, name: value})
        found = error(await r.client.post(path, content=body))

    assert found["param"] == name[:80]
    assert "passthrough" in found["message"]
    assert seen == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("top_k", 10**29),
        ("top_k", 1e29),
        ("temperature", 1e300),
        ("temperature", float("1e30")),
        ("temperature", 5),
        ("temperature", -0.1),
        ("top_p", 5),
        ("top_p", 0),
        ("min_p", 1.1),
        ("top_k", -2),
        ("top_k", 4.5),
        ("presence_penalty", 2.1),
        ("frequency_penalty", -3),
        ("repetition_penalty", 0),
        ("repetition_penalty", 2.5),
        ("max_tokens", 10**18),
        ("max_tokens", 0),
        ("max_tokens", 0.0),
        ("max_tokens", -2),
        ("max_tokens", -1.5),
        ("max_tokens", True),
        ("max_completion_tokens", 0),
        ("max_completion_tokens", 1e29),
        ("min_tokens", -1),
        ("n", 10**9),
        ("n", 0),
        ("n", 1e29),
        ("seed", 10**30),
        ("seed", 1e29),
        ("min_tokens", 1e29),
        ("stop", ["x"] * 17),
        ("stop", "x" * 257),
        ("stop_token_ids", list(range(65))),
        ("logit_bias", {str(n): 1 for n in range(1025)}),
        ("logit_bias", {"1": 1e9}),
        ("logit_bias", {"a": 1}),
        ("top_logprobs", 21),
        ("tools", [TOOL] * 129),
        ("response_format", {"type": "nonsense"}),
        ("response_format", with_enum(40_000)),
        ("structured_outputs", {"regex": "a" * 2001}),
        ("structured_outputs", {"_backend": "outlines"}),
        ("structured_outputs", {"choice": ["x"] * 1001}),
        ("chat_template_kwargs", {"chat_template": "x"}),
        ("stream_options", {"include_usage": "yes"}),
        ("modalities", ["text", "audio"]),
        ("store", True),
        ("service_tier", "priority"),
        ("reasoning_effort", "endless"),
    ],
)
async def test_a_value_out_of_bounds_is_refused(name: str, value: Any) -> None:
    """The error says what would be right, before any component has work with the value."""
    async with members(a=()) as (r, seen):
        found = error(await r.chat(**{name: value}))

    assert found["param"] == name
    assert "give " in found["message"]
    assert len(found["message"]) < 600
    assert seen == []


@pytest.mark.parametrize(
    "prompt",
    [["x"] * 17, [[1]] * 17, [[]], [[1], "x"], ["x", [1]], [-1], [True], [2**31], [1.5], [None]],
)
async def test_prompts_are_at_most_sixteen(prompt: Any) -> None:
    """Each prompt of a list is a generation; other lists are not prompts."""
    async with members(a=()) as (r, seen):
        body = {"model": "blend", "prompt": prompt}
        found = error(await r.client.post("/v1/completions", json=body))

    assert found["param"] == "prompt"
    assert seen == []


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("guided_json", "structured_outputs: {json: "),
        ("guided_regex", "structured_outputs: {regex: "),
        ("guided_choice", "structured_outputs: {choice: "),
        ("guided_grammar", "structured_outputs: {grammar: "),
        ("guided_whitespace_pattern", "structured_outputs: {whitespace_pattern: "),
        ("guided_decoding_backend", "leave it out"),
    ],
)
async def test_vllms_earlier_names_lead_to_the_present_ones(name: str, instead: str) -> None:
    """Without a word a client would take an answer in any form for one in its own."""
    async with members(a=()) as (r, seen):
        found = error(await r.chat(**{name: "x"}))

    assert found["param"] == name
    assert instead in found["message"]
    assert seen == []


async def test_whole_numbers_reach_components_as_integers() -> None:
    """JavaScript and JSON libraries write 4.0 for 4, which stricter APIs refuse."""
    whole = {"max_tokens": 4, "min_tokens": 2, "top_k": 40, "n": 2, "seed": 7, "top_logprobs": 3}
    async with members(a=()) as (r, seen):
        asked: dict[str, Any] = {name: float(value) for name, value in whole.items()}
        response = await r.chat(**asked, stop_token_ids=[2.0, 3])

    assert response.status_code == 200, response.text
    [body] = seen
    sent = {name: body[name] for name in (*whole, "stop_token_ids")}
    assert json.dumps(sent) == json.dumps(whole | {"stop_token_ids": [2, 3]})


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
@pytest.mark.parametrize("value", [-1, -1.0])
async def test_minus_one_is_no_token_limit(name: str, value: float) -> None:
    """Clients of llama.cpp and LM Studio send it; the component's default applies, never one."""
    async with members(a=()) as (r, seen):
        asked: dict[str, Any] = {name: value}
        given = await r.chat(**asked)
        left_out = await r.chat()

    assert given.status_code == left_out.status_code == 200
    limits = [b.get("max_completion_tokens") or b.get("max_tokens") for b in seen]
    assert limits == [None, None]


def choosing(**most: int) -> BlendConfig:
    """A blend of simulated components that keep so many choices."""
    simulation = {"ttft_ms": 0, "itl_ms": 0, "tokens": 4}
    components = [
        {"id": name, "kind": "simulated", "simulation": simulation, "sampling": {"n": {"max": n}}}
        for name, n in most.items()
    ]
    return BlendConfig.model_validate({"name": "blend", "components": components})


async def test_choices_that_a_component_would_not_keep_are_refused() -> None:
    """The smallest maximum counts, so that the draw never decides; a named one has its own."""
    async with rig(choosing(a=4, b=16)) as r:
        many = error(await r.chat(n=8))
        fine = await r.chat(n=4)
        named = await r.chat("b", n=8)
        document = (await r.client.get("/openapi.json")).json()

    assert many["param"] == "n"
    assert "'n' is 8, which is not valid; give a whole number from 1 to 4" in many["message"]
    assert (fine.status_code, named.status_code) == (200, 200)
    schemas = document["components"]["schemas"]
    assert schemas["ChatRequest"]["properties"]["n"]["maximum"] == 4


async def test_a_component_gets_what_it_lists() -> None:
    """A field that is refused elsewhere passes if every component that may be drawn lists it."""
    async with members(a=("ignore_eos", "user"), b=("ignore_eos",), c=()) as (r, seen):
        both = error(await r.chat(ignore_eos=True))
        named = [await r.chat(model, ignore_eos=True, user="ada") for model in ("a", "b")]

    assert both["param"] == "ignore_eos"
    assert [response.status_code for response in named] == [200, 200]
    assert [(body.get("ignore_eos"), body.get("user")) for body in seen] == [
        (True, "ada"),
        (True, None),
    ]


async def test_a_component_that_is_never_drawn_need_not_list_it() -> None:
    """A component with weight 0 does not count."""
    simulation = {"ttft_ms": 0, "itl_ms": 0, "tokens": 4}
    drawn = {"id": "a", "kind": "simulated", "simulation": simulation, "passthrough": ["x"]}
    never = {"id": "b", "kind": "simulated", "simulation": simulation}
    weights = {"weights": {"a": 1, "b": 0}}
    config = {"name": "blend", "components": [drawn, never], "selection": weights}
    async with rig(BlendConfig.model_validate(config)) as r:
        response = await r.chat(x=1)

    assert response.status_code == 200


async def test_no_client_chooses_a_salt() -> None:
    """Even for a component that lists the field, the router sets the salt."""
    async with members(a=("cache_salt",)) as (r, seen):
        found = error(await r.chat(cache_salt="another's"))
        response = await r.chat()

    assert found["param"] == "cache_salt"
    assert response.status_code == 200
    assert len(seen[0]["cache_salt"]) == 64


@pytest.mark.parametrize("name", ["a b", "", "x\n", "1x"])
def test_a_passthrough_is_a_fields_name(name: str) -> None:
    """A mistake in the name is refused, because the field would never be sent."""
    component = {"id": "a", "kind": "simulated", "passthrough": [name]}
    blend_ = {"name": "blend", "components": [component]}
    with pytest.raises(ConfigError, match="passthrough"):
        parse(json.dumps(blend_), "blend.yaml")


SCHEMAS: dict[str, Any] = {
    "levels": json.loads('{"a":' * 41 + "{}" + "}" * 41),
    "values": {"anyOf": [{"const": n} for n in range(5000)]},
    "one enum": {"enum": list(range(1001))},
    "characters": {"description": "x" * 2**17},
    "an expression": {"pattern": "a" * 2001},
}


@pytest.mark.parametrize("too_large", SCHEMAS)
def test_schemas_are_bounded(too_large: str) -> None:
    """Each schema alone is too large for a grammar's compiler, at any place in a schema."""
    schema = SCHEMAS[too_large]

    assert not is_compilable(schema)
    assert not is_compilable({"type": "object", "properties": {"inner": schema}})


def test_the_page_is_that_of_the_table() -> None:
    """It has one row for each field with its handling; `make check` tests it too."""
    page = (ROOT / "docs" / "api.md").read_text()

    assert page == fields_page.page()
    for fields in (CHAT_FIELDS, COMPLETION_FIELDS):
        for field in fields.values():
            assert f"| `{field.name}` | {field.handling} |" in page


async def test_too_many_messages_are_refused_by_their_number() -> None:
    """The blend's file sets the limits; parts and tool calls of all messages count together."""
    parts = [{"type": "text", "text": "x"}] * 3
    async with rig(blend("a", api={"max_messages": 3, "max_parts": 5})) as r:
        many = error(await r.chat(messages=HELLO * 4))
        split = error(await r.chat(messages=[{"role": "user", "content": parts}] * 2))
        fine = await r.chat(messages=[*HELLO, {"role": "user", "content": parts}])

    assert "send at most 3" in many["message"]
    assert "send at most 5" in split["message"]
    assert fine.status_code == 200
