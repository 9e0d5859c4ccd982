"""Feedback by response id, and the records that clients may read, over a real journal."""

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.journal.journals import IDENTITY, database, journal
from tests.support import HELLO, Rig, blend, rig

REVEALED = {"api": {"reveal_component": True}}
DAY_S = 86_400.0


@pytest.fixture
async def kept(tmp_path: Path) -> AsyncIterator[Rig]:
    """A router whose responses are journalled."""
    with journal(tmp_path) as opened:
        async with rig(blend("a", "b", **REVEALED), opened) as r:
            yield r


async def give(r: Rig, response_id: str, **feedback: Any) -> httpx.Response:
    return await r.client.post("/v1/feedback", json={"response_id": response_id, **feedback})


async def record(r: Rig, response_id: str) -> dict[str, Any]:
    """A response's record, once it is in the database, after a second or two."""
    deadline = time.monotonic() + 20
    while True:
        response = await r.client.get(f"/v1/records/{response_id}")
        if response.status_code == 200 or time.monotonic() > deadline:
            assert response.status_code == 200, response.text
            document: dict[str, Any] = response.json()
            return document


async def test_a_response_can_be_looked_up(kept: Rig) -> None:
    """The id in its body finds the record, with the draw and without hashes."""
    response = await kept.chat(user="ada")
    document = await record(kept, response.json()["id"])

    assert document["component"] == response.headers["x-blended-component"]
    assert document["probabilities"] == {"a": 0.5, "b": 0.5}
    assert document["state"] == "finished"
    assert document["feedback"] == []
    assert document["replaces"] is None
    assert not {"user", "key_name", "lineage", "parent"} & document.keys()


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ({"thumb": "up"}, 1),
        ({"thumb": "down"}, -1),
        ({"star": 4}, 4),
        ({"edit": 0.25}, 0.25),
    ],
)
async def test_feedback_is_kept_with_its_response(
    kept: Rig, given: dict[str, Any], value: float
) -> None:
    """Each kind of feedback has its value."""
    response_id = (await kept.chat()).json()["id"]
    answer = await give(kept, response_id, **given)
    document = await record(kept, response_id)

    [kind] = given
    assert answer.json() == {
        "object": "feedback",
        "response_id": response_id,
        "kind": kind,
        "status": "recorded",
    }
    assert [(f["kind"], f["value"]) for f in document["feedback"]] == [(kind, value)]


async def test_repeated_feedback_replaces_the_first_and_says_so(kept: Rig) -> None:
    """A response keeps one thumb; a star is another kind and stays beside it."""
    response_id = (await kept.chat()).json()["id"]
    await record(kept, response_id)
    answers = [
        await give(kept, response_id, thumb="up"),
        await give(kept, response_id, star=5),
        await give(kept, response_id, thumb="down"),
    ]
    document = await record(kept, response_id)

    assert [a.json()["status"] for a in answers] == ["recorded", "recorded", "replaced"]
    values = {f["kind"]: f["value"] for f in document["feedback"]}
    assert values == {"thumb": -1, "star": 5}


async def test_what_the_user_does_next_is_derived(kept: Rig) -> None:
    """Asking again replaces a response, going on continues the one that replaced it."""
    asked = [*HELLO]
    first = (await kept.chat(messages=asked, user="ada")).json()["id"]
    second = (await kept.chat(messages=asked, user="ada")).json()["id"]
    answer = {"role": "assistant", "content": "Hi!"}
    going_on = [*asked, answer, {"role": "user", "content": "Why?"}]
    third = (await kept.chat(messages=going_on, user="ada")).json()["id"]
    await record(kept, third)
    documents = [await record(kept, response_id) for response_id in (first, second, third)]

    derived = [[(f["kind"], f["other_id"]) for f in d["feedback"]] for d in documents]
    assert derived == [[("retry", second)], [("continued", third)], []]
    assert [d["replaces"] for d in documents] == [None, first, None]
    assert documents[1]["feedback"][0]["value"] >= 0


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"thumb": "sideways"}, "thumb"),
        ({"star": 6}, "star"),
        ({"star": True}, "star"),
        ({"edit": 1.5}, "edit"),
        ({"retry": 1}, "retry"),
        ({"comment": ""}, "comment"),
        ({"continued": 3}, "continued"),
        ({"thumb": "up", "star": 5}, "thumb"),
        ({}, "thumb"),
        ({"thumb": "up", "response_id": 7}, "response_id"),
    ],
)
async def test_bad_feedback_is_refused(kept: Rig, body: dict[str, Any], param: str) -> None:
    """The error names the wrong field."""
    response_id = (await kept.chat()).json()["id"]
    answer = await kept.client.post("/v1/feedback", json={"response_id": response_id} | body)

    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param


async def test_responses_that_were_never_given_are_unknown(kept: Rig) -> None:
    """Made-up ids and ids of other keys give 404, for feedback and for records."""
    strangers = IDENTITY.response_id("chatcmpl", time.time(), "another key")
    for response_id in ("chatcmpl-1", "x" * 500, strangers):
        given = await give(kept, response_id, thumb="up")
        read = await kept.client.get(f"/v1/records/{response_id}")

        assert given.status_code == read.status_code == 404
        assert given.json()["error"]["code"] == "response_not_found"
    replaced = await give(kept, (await kept.chat()).json()["id"], retry=strangers)
    assert replaced.status_code == 404


async def test_feedback_that_comes_too_late_is_told_so(tmp_path: Path) -> None:
    """It gives 410 once the response's record has been removed, and is accepted until then.

    A busy machine may queue it (202) instead of writing it at once (200).
    """
    with journal(tmp_path, retention_s=30 * DAY_S) as opened:
        async with rig(blend("a"), opened) as r:
            old, older = (
                IDENTITY.response_id("chatcmpl", time.time() - days * DAY_S, "default")
                for days in (29, 31)
            )
            late, too_late = await give(r, old, thumb="up"), await give(r, older, thumb="up")

    assert late.is_success
    assert too_late.status_code == 410
    assert "30 days" in too_late.json()["error"]["message"]


async def test_texts_are_kept_on_request_only(tmp_path: Path) -> None:
    """With content on, the record has messages, responses and comments; else it has none."""
    with journal(tmp_path / "with", keep_content=True) as opened:
        async with rig(blend("a"), opened) as r:
            response = await r.chat(stream=True)
            response_id = response.headers["x-blended-response-id"]
            body = json.dumps({"response_id": response_id, "comment": "Lovely \u0000 \ud800"})
            taken = await r.client.post("/v1/feedback", content=body)
            document = await record(r, response_id)
    with journal(tmp_path / "without") as opened:
        async with rig(blend("a"), opened) as r:
            refused = await give(r, (await r.chat()).json()["id"], comment="Lovely")

    assert taken.status_code == 200
    assert document["content"]["messages"] == HELLO
    assert "simulated" in document["content"]["response"][0]
    assert document["feedback"][0]["text"].startswith("Lovely")
    assert refused.status_code == 400
    assert refused.json()["error"]["code"] == "comments_not_kept"


async def test_a_hidden_component_stays_hidden(tmp_path: Path) -> None:
    """Without `reveal_component` no record names the component, or the possible ones."""
    with journal(tmp_path) as opened:
        async with rig(blend("secret-one", "secret-two"), opened) as r:
            document = await record(r, (await r.chat()).json()["id"])

    assert "secret" not in str(document)
    assert document["model"] == "blend"
    assert not {"distribution", "propensity", "uniform", "replica", "arm"} & document.keys()


async def test_without_its_database_feedback_waits(tmp_path: Path) -> None:
    """It gives 202 and `queued`; records cannot be read meanwhile, and all arrive later."""
    away = tmp_path / "away"
    away.touch()  # where a folder should be
    with journal(tmp_path, database(away)) as opened:
        async with rig(blend("a"), opened) as r:
            response_id = (await r.chat()).json()["id"]
            queued = await give(r, response_id, thumb="up")
            unreadable = await r.client.get(f"/v1/records/{response_id}")
            away.unlink()
            away.mkdir()
            document = await record(r, response_id)

    assert (queued.status_code, queued.json()["status"]) == (202, "queued")
    assert unreadable.status_code == 503
    assert unreadable.headers["retry-after"]
    assert [f["kind"] for f in document["feedback"]] == ["thumb"]


async def test_without_a_journal_there_is_no_feedback() -> None:
    """It gives 404 with the reason."""
    async with rig(blend("a")) as r:
        answer = await give(r, (await r.chat()).json()["id"], thumb="up")

    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "no_journal"
