"""What the router recalls of a conversation, and that records tell it."""

from pathlib import Path
from typing import Any

from blended.config import BlendConfig
from blended.journal.records import ResponseRecord
from blended.learning.features import Facts
from loadtests.harness.redis_server import RedisServer
from tests.journal.journals import journal
from tests.support import HELLO, Rig, blend, eventually, rig

NAMED = {"X-Conversation-ID": "c"}


def recalling(**fields: Any) -> BlendConfig:
    return blend("a", "b", selection={"recall": True}, **fields)


def history(turns: int) -> list[dict[str, Any]]:
    return [*HELLO, *([{"role": "assistant", "content": "Hi."}, *HELLO] * (turns - 1))]


async def talk(r: Rig, *turns: int, headers: dict[str, str] | None = None) -> list[Facts]:
    """What is known at each turn of a conversation, in the order in which they are asked."""
    already = len(r.records)
    for number, turn in enumerate(turns, 1):
        await r.chat(messages=history(turn), headers=headers or NAMED)
        wanted = already + number
        await eventually(lambda wanted=wanted: len(r.records) == wanted)  # type: ignore[misc]
    return [facts(record) for record in r.records[already:]]


def facts(record: ResponseRecord) -> Facts:
    assert record.facts is not None
    found = Facts.from_json(record.facts)
    assert found is not None
    return found


async def test_the_next_turn_knows_who_answered_and_when() -> None:
    """A retry knows that it is one, and whom the message answers."""
    async with rig(recalling()) as r:
        first, second, retried, third = await talk(r, 1, 2, 2, 3)

    answered = [record.component for record in r.records]
    assert (first.turn, first.words, first.before, first.retried) == (1, 1, None, None)
    assert (second.before, second.retried) == (answered[0], False)
    assert second.pause_s is not None
    assert 0 <= second.pause_s < 10
    assert (retried.before, retried.retried) == (answered[0], True)
    assert (third.before, third.retried) == (answered[2], False)


async def test_what_goes_back_further_is_not_known() -> None:
    """A message that was edited some turns ago begins anew; so does one with a key to repeat it."""
    async with rig(recalling()) as r:
        _, _, _, edited = await talk(r, 1, 2, 3, 1)
        [repeatable] = await talk(r, 2, headers=NAMED | {"Idempotency-Key": "k"})

    assert edited == Facts(1, 1)
    assert repeatable == Facts(2, 1)


async def test_a_conversation_that_may_be_anybodys_is_not_recalled() -> None:
    """Users who begin with the same words are not one; the same words of two users are two."""
    async with rig(recalling()) as r:
        _, second = await talk(r, 1, 2, headers={"X-Nothing": ""})
        _, own = await talk(r, 1, 2, headers={"X-User-ID": "one"})
        [other] = await talk(r, 2, headers={"X-User-ID": "other"})

    assert second == other == Facts(2, 1)
    assert own.before is not None


async def test_router_replicas_share_what_they_recall(redis: RedisServer) -> None:
    """On Redis; in memory each knows what it has seen itself."""
    for store, is_shared in ((redis.url, True), ("memory://", False)):
        made = recalling(api={"shared_store": store})
        async with rig(made) as one, rig(made) as other:
            await talk(one, 1)
            [second] = await talk(other, 2)
        assert (second.before is not None) == is_shared


async def test_what_another_version_has_kept_costs_no_answer() -> None:
    """It is not understood, and so not known."""
    async with rig(recalling()) as r:
        await talk(r, 1)
        assert r.api.access is not None
        store = r.api.access.store
        [name] = store._values._kept  # type: ignore[union-attr]  # no front door writes nonsense
        for nonsense in ("", "[]", "{}", '{"turn": 1}'):
            await store.put(name, nonsense, 60)
            assert await talk(r, 2) == [Facts(2, 1)]


async def test_without_a_store_nothing_is_known_and_nothing_fails() -> None:
    """The store is away."""
    async with rig(recalling(api={"shared_store": "redis://127.0.0.1:1"})) as r:
        assert await talk(r, 1, 2) == [Facts(1, 1), Facts(2, 1)]
    assert {record.state for record in r.records} == {"finished"}


async def test_nothing_is_kept_where_nobody_asks_for_it(tmp_path: Path) -> None:
    """Without `recall` and policies; nor for requests that name a component."""
    with journal(tmp_path) as kept:
        async with rig(blend("a", "b"), kept) as r:
            await r.chat(headers=NAMED)
            await eventually(lambda: len(r.records) == 1)
        assert r.records[0].facts is None
    async with rig(recalling()) as r:
        await r.chat(model="a", headers=NAMED)
        await eventually(lambda: len(r.records) == 1)
        assert r.records[0].facts is None
