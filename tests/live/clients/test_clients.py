"""Clients as people have them, each in an environment of its own, against a running blend.

A client's script does its things one after the other; the prompt of each names client and thing,
by which the journal's records are found.
"""

import json
from contextlib import closing
from typing import Any

import pytest

from blended.journal.store import Store
from blended.journal.tables import contents, responses
from tests.journal.databases import rows
from tests.live.clients.conftest import Seen
from tests.live.conftest import Live
from tests.support import eventually

pytestmark = pytest.mark.ray

EVERYTHING = ("plain", "stream", "turns", "tools", "tool_stream", "structured")
CLIENTS = {
    ("python", "openai_chat"): EVERYTHING,
    ("python", "openai_responses"): EVERYTHING,
    ("python", "anthropic_messages"): EVERYTHING,
    ("python", "langchain_chat"): EVERYTHING,
    ("python", "pydantic_ai_agent"): EVERYTHING,
    ("python", "openai_agents"): EVERYTHING,
    ("python", "litellm_completion"): EVERYTHING,
    ("python", "llm_prompt"): EVERYTHING,
    ("instructor", "instructor_forms"): ("tools", "tool_stream"),
    ("node", "openai_node"): EVERYTHING,
    ("node", "vercel_openai"): EVERYTHING,
    ("node", "vercel_compatible"): EVERYTHING,
    ("node", "promptfoo_eval"): ("plain", "tools", "structured", "responses"),
}
CASES = [
    pytest.param(*client, thing, id=f"{client[1]}-{thing}")
    for client, things in CLIENTS.items()
    for thing in things
]
# The plainest values that the schemas allow.
FORM = {"name": "simulated", "mood": "calm", "friends": ["simulated"]}
CALLS = {"weather": {"place": "simulated", "days": 0}, "Mood": FORM}
NEEDS = {"tools": ["tools"], "tool_stream": ["tools"], "structured": ["json_schema"]}
BOTH, SKILLED = {"skilled": 0.01, "plain": 0.99}, {"skilled": 1.0}


@pytest.mark.parametrize(("environment", "client", "thing"), CASES)
async def test_a_client_gets_what_it_asks_for(
    live: Live, seen: Seen, environment: str, client: str, thing: str
) -> None:
    """It sees what was generated, word by word, by a component that can do what the thing needs."""
    saw = seen(environment, client)[thing]
    assert "error" not in saw, saw
    requests = 2 if thing == "turns" or "then" in saw else 1
    records = await recorded(live, f"[{client} {thing}]", requests)

    assert len({record.conversation for record in records}) == 1
    for record in records:
        assert record.state == "finished"
        assert record.stream == (thing in ("stream", "tool_stream"))
        assert record.needs == NEEDS.get(thing, [])
        assert record.probabilities == (SKILLED if record.needs else BOTH)
        assert record.component in record.probabilities
    expect(thing, saw, [record.completion_tokens for record in records])


def expect(thing: str, saw: Any, tokens: list[int]) -> None:
    """Check what a client saw of responses with so many tokens."""
    if thing == "structured":
        assert saw == FORM
    elif thing in ("tools", "tool_stream"):
        called = dict(saw)
        then = called.pop("then", None)
        assert called.items() <= CALLS.items()
        assert then is None or words(then) == tokens[1]
    elif thing == "turns":
        assert [words(text) for text in saw] == tokens
    else:
        assert words("".join(saw)) == tokens[0]
    if thing == "stream":
        assert len([piece for piece in saw if piece]) == tokens[0]


async def test_guidellm_measures_the_blend(live: Live, seen: Seen) -> None:
    """A conversation of three streams, the first of which calls a tool; none fails."""
    saw = seen("guidellm", "guidellm_run")["benchmark"]
    assert "error" not in saw, saw
    records = [await recorded(live, found, 1) for found in saw["successful"]]

    assert saw["errored"] == saw["incomplete"] == []
    assert [record.needs for [record] in records] == [["tools"], [], []]
    assert {record.state for [record] in records} == {"finished"}


async def recorded(live: Live, mark: str, number: int) -> list[Any]:
    """The records whose id, or whose prompt, has this mark, once there are so many."""
    store = Store(f"sqlite:///{live.env['BLENDED_STATE_DIR']}/journal.db")
    found: list[Any] = []

    def have_arrived() -> bool:
        kept = rows(store, contents)
        asked = {
            row.response_id
            for row in kept
            if mark in f"{row.response_id} {json.dumps(row.content)}"
        }
        found[:] = [row for row in rows(store, responses) if row.response_id in asked]
        return len(found) >= number

    with closing(store):
        await eventually(have_arrived, timeout_s=30)
    assert len(found) == number
    return found


def words(text: str) -> int:
    """How many words a simulated component said, which are its tokens."""
    said = text.split()
    assert set(said) == {"simulated"}
    return len(said)
