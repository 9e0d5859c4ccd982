"""Remote APIs get the fields that they know, under the names that they know."""

import json
from typing import Any

import pytest

from blended.config import loading
from blended.errors import ConfigError
from blended.router.history import window
from tests.router.upstreams.member import GOOD, Site, site, whole
from tests.support import HELLO


async def sent(s: Site, **fields: Any) -> dict[str, Any]:
    """The body that the member received."""
    response = await s.ask(False, **fields)
    assert response.status_code == 200, response.text
    return s.member.asked[-1]


@pytest.mark.parametrize("dialect", ["compatible", "openai", "mistral", "vllm"])
async def test_a_remote_gets_what_the_client_sent_and_nothing_else(dialect: str) -> None:
    """No limit of tokens, no names of users and conversations, no id of the session."""
    async with site(whole(GOOD), dialect=dialect) as s:
        body = await sent(s, user="ada", metadata={"conversation_id": "c"}, safety_identifier="x")

        assert body == {"model": "odd-model", "messages": HELLO, "stream": False}
        assert ("x-session-id" in s.member.headers[-1]) == (dialect == "vllm")


@pytest.mark.parametrize(
    ("dialect", "given", "expected"),
    [
        ("compatible", {"max_completion_tokens": 9}, {"max_tokens": 9}),
        ("openai", {"max_tokens": 9}, {"max_completion_tokens": 9}),
        ("openai", {"max_tokens": 9, "max_completion_tokens": 7}, {"max_completion_tokens": 7}),
        ("mistral", {"max_completion_tokens": 9, "seed": 4}, {"max_tokens": 9, "random_seed": 4}),
        ("vllm", {"max_completion_tokens": 9}, {"max_completion_tokens": 9}),
        ("vllm", {"top_k": 3}, {"top_k": 3}),
        ("openai", {"top_k": 3, "min_p": 0.1, "temperature": 1}, {"temperature": 1}),
        ("compatible", {"top_k": 3}, {"top_k": 3}),
    ],
)
async def test_fields_are_named_as_the_remote_names_them(
    dialect: str, given: dict[str, Any], expected: dict[str, Any]
) -> None:
    """Advice on sampling that an API does not know is left out."""
    async with site(whole(GOOD), dialect=dialect) as s:
        body = await sent(s, **given)

    assert {k: v for k, v in body.items() if k not in ("model", "messages", "stream")} == expected


async def test_a_stream_asks_for_usage_only_where_that_is_known() -> None:
    """Mistral reports it without being asked, and refuses the field."""
    for dialect, asks in (("openai", True), ("mistral", False)):
        async with site(whole(GOOD), dialect=dialect) as s:
            await s.ask(True)

            assert ("stream_options" in s.member.asked[0]) == asks


@pytest.mark.parametrize(
    ("dialect", "field", "value"),
    [
        ("openai", "min_tokens", 3),
        ("openai", "structured_outputs", {"choice": ["a"]}),
        ("mistral", "stop_token_ids", [2]),
        ("compatible", "stop", ["a", "b", "c", "d", "e"]),
    ],
)
async def test_a_promise_that_a_remote_cannot_keep_is_refused(
    dialect: str, field: str, value: Any
) -> None:
    """The error names the field and the component; no component is asked."""
    async with site(whole(GOOD), dialect=dialect) as s:
        response = await s.rig.chat(**{field: value})

        assert response.status_code == 400
        assert response.json()["error"]["param"] == field
        assert "'odd'" in response.json()["error"]["message"]
        assert s.member.asked == []


async def test_a_history_leaves_room_for_a_response_without_a_limit() -> None:
    """A remote API gets no limit of ours, and would have nothing left of a full context."""
    said = {"role": "user", "content": "word " * 90}
    talk = [said, {"role": "assistant", "content": "word " * 90}] * 3 + [said]
    async with site(whole(GOOD), context_tokens=1200) as s:
        body = await sent(s, messages=talk)

    assert len(body["messages"]) < len(talk)
    assert window.estimate(body["messages"]) <= 1200 - 512


def test_stops_of_ours_beside_four_of_a_client_are_refused_in_the_file(tmp_path: Any) -> None:
    """A remote API takes four texts; a client's four must stay legal."""
    path = tmp_path / "blend.yaml"
    component = {"id": "a", "kind": "remote", "base_url": "https://a.example/v1", "model": "m"}
    blend = {"name": "b", "components": [component | {"sampling": {"stop": ["<end>"]}}]}
    path.write_text(json.dumps(blend))

    with pytest.raises(ConfigError, match=r"components\[0\].sampling.stop.*dialect: vllm"):
        loading.load(str(path))
    blend["components"][0]["dialect"] = "vllm"  # type: ignore[index]
    path.write_text(json.dumps(blend))
    assert loading.load(str(path))
