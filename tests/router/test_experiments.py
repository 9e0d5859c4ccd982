"""Experiments through the API: arms are distributions, and every record names its arm."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from blended.config import BlendConfig
from blended.experiments.assignment import arm_of
from blended.experiments.definition import Definition
from blended.journal.store import Store
from blended.journal.tables import experiments
from tests.journal.databases import rows
from tests.journal.journals import database, journal
from tests.support import Rig, blend, eventually, rig

NOW = datetime.now(UTC)
EXPERIMENT: dict[str, Any] = {
    "name": "one-or-all",
    "start": (NOW - timedelta(days=1)).isoformat(),
    "end": (NOW + timedelta(days=1)).isoformat(),
    "control": "only-a",
    "arms": [{"id": "only-a", "weights": {"a": 1}}, {"id": "all"}],
}


def config(*others: dict[str, Any], **fields: Any) -> BlendConfig:
    """Components a and b, and the experiment with some fields changed."""
    holdout = fields.pop("holdout", 0)
    return blend("a", "b", experiments=[EXPERIMENT | fields, *others], holdout=holdout)


async def ask(r: Rig, users: int, **fields: Any) -> None:
    """Send a request for each user, named in each possible way in turn."""
    for number in range(users):
        headers = fields.pop("headers", {}) | {"X-User-ID": f"user-{number}"}
        response = await r.chat(headers=headers, **fields)
        assert response.status_code == 200, response.text
    await eventually(lambda: len(r.records) == users)


async def test_users_are_answered_by_their_arms_distribution(tmp_path: Path) -> None:
    """The arm of each record follows from its user; control's users reach one component only."""
    with journal(tmp_path) as kept:
        async with rig(config(), kept) as r:
            await ask(r, 60)
            [experiment] = config().experiments

            for record in r.records:
                assert record.user is not None
                assert record.experiment == "one-or-all"
                assert record.arm == arm_of(experiment, record.user).id
            answered = Counter((record.arm, record.component) for record in r.records)
            assert answered["only-a", "b"] == 0
            assert min(answered["only-a", "a"], answered["all", "a"], answered["all", "b"]) > 3
            propensities = {r.arm: r.propensity for r in r.records}
            assert propensities == {"only-a": 1.0, "all": 0.5}


async def test_every_router_and_restart_assigns_alike(tmp_path: Path) -> None:
    """Two routers with the same secret give every user the same arm."""
    arms = []
    for folder in ("one", "other"):
        with journal(tmp_path / folder) as kept:
            async with rig(config(), kept) as r:
                await ask(r, 20)
                arms.append([(record.user, record.arm) for record in r.records])

    assert arms[0] == arms[1]
    assert len({arm for _, arm in arms[0]}) == 2


async def test_nobody_and_direct_requests_are_left_out(tmp_path: Path) -> None:
    """Without a user the blend's distribution decides; a component's id reaches that component."""
    with journal(tmp_path) as kept:
        async with rig(config(), kept) as r:
            await r.chat()
            await r.chat(model="b", headers={"X-User-ID": "u"})
            await eventually(lambda: len(r.records) == 2)

            assert [(x.experiment, x.arm) for x in r.records] == [(None, None)] * 2
            assert r.records[0].probabilities == {"a": 0.5, "b": 0.5}
            assert r.records[1].probabilities == {"b": 1.0}


async def test_an_experiment_for_new_users_leaves_out_old_ones(tmp_path: Path) -> None:
    """The client gives the time of the user's first visit in the header or the metadata."""
    old = (NOW - timedelta(days=2)).isoformat()
    with journal(tmp_path) as kept:
        async with rig(config(eligible="new"), kept) as r:
            await r.chat(headers={"X-User-ID": "u", "X-User-Since": old})
            await r.chat(headers={"X-User-ID": "u"}, metadata={"user_since": old})
            await r.chat(headers={"X-User-ID": "u", "X-User-Since": NOW.isoformat()})
            await r.chat(headers={"X-User-ID": "u"})
            await eventually(lambda: len(r.records) == 4)

            found = [record.experiment for record in r.records]
            assert found == [None, None, "one-or-all", "one-or-all"]


async def test_a_time_that_is_none_is_refused() -> None:
    """The error message says what to write."""
    async with rig(config()) as r:
        response = await r.chat(headers={"X-User-ID": "u", "X-User-Since": "yesterday"})

        assert response.status_code == 400
        assert "'yesterday'" in response.json()["error"]["message"]


async def test_the_held_out_get_the_blend_and_are_marked(tmp_path: Path) -> None:
    """Here that is every user: no experiment, and `holdout` as their arm."""
    with journal(tmp_path) as kept:
        async with rig(config(holdout=0.999999), kept) as r:
            await ask(r, 5)

            assert {(x.experiment, x.arm) for x in r.records} == {(None, "holdout")}
            assert {tuple(x.probabilities.values()) for x in r.records} == {(0.5, 0.5)}


async def test_an_experiment_that_is_over_decides_nothing(tmp_path: Path) -> None:
    """Its users get the blend's distribution again."""
    end = (NOW - timedelta(hours=1)).isoformat()
    with journal(tmp_path) as kept:
        async with rig(config(end=end), kept) as r:
            await ask(r, 5)

            assert {record.experiment for record in r.records} == {None}


async def test_the_journal_keeps_how_an_experiment_was_defined(tmp_path: Path) -> None:
    """The definition has its distributions, so reports need no configuration; one per version."""
    for _ in range(2):
        with journal(tmp_path) as kept:
            async with rig(config(), kept):
                pass
    store = Store(database(tmp_path))
    [row] = rows(store, experiments)
    store.close()

    definition = Definition.from_json(row.definition)
    assert row.version == definition.version
    assert row.first_at < row.last_at
    assert [(a.id, a.share, a.probabilities) for a in definition.arms] == [
        ("only-a", 0.5, {"a": 1.0}),
        ("all", 0.5, {"a": 0.5, "b": 0.5}),
    ]


async def test_repetition_is_measured_where_texts_are_kept(tmp_path: Path) -> None:
    """It is the share of two consecutive responses' words that both have."""
    with journal(tmp_path, keep_content=True) as kept:
        async with rig(config(), kept) as r:
            first = (await r.chat()).json()["choices"][0]["message"]
            again = [{"role": "user", "content": "Hi"}, first, {"role": "user", "content": "And?"}]
            await r.chat(messages=again)
            await eventually(lambda: len(r.records) == 2)

            assert r.records[0].repetition is None
            assert r.records[1].repetition is not None
            assert 0 <= r.records[1].repetition <= 1
