"""Look-ahead: the next turn's component is drawn early, and draws stay as random as before."""

import asyncio
import hashlib
import json
import math
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis import Redis
from scipy.stats import chisquare, norm

from blended.router.selection import draw, normalise, uniform
from loadtests.harness.redis_server import RedisServer, redis_server
from tests.router.ahead import config, routers
from tests.support import HELLO

DRAWS = 1_000
# A correct draw fails at this level for one in a million seeds.
LEVEL = 1e-6
ODDS = "the odds of this for a correct draw are one in a million"


async def test_the_component_that_answers_next_has_read_the_conversation(
    redis: RedisServer,
) -> None:
    """Whichever router gets the next request, if they share a store."""
    async with routers(config(store=redis.url), count=2) as r:
        for n in range(8):
            await r.talk(4, f"c{n}")

    later = [record for record in r.records if record.turn > 1]
    assert all(record.ahead for record in later)
    assert not any(record.ahead for record in r.records if record.turn == 1)
    # Of 24 turns a third is answered by the component that answered before, and read by none.
    assert sum(r.seen[name, "used"] for name in "abc") == sum(
        before.component != after.component
        for before, after in pairwise(r.records)
        if after.turn == before.turn + 1
    )
    assert sum(r.seen[name, "unused"] for name in "abc") == 0


async def test_a_turn_is_drawn_ahead_once(redis: RedisServer) -> None:
    """A retry draws anew: it meets the same component as often as chance does."""
    weights, pairs = {"a": 3, "b": 2, "c": 1}, 150
    async with routers(config(weights=weights, store=redis.url), count=2) as r:
        for n in range(pairs):
            said = await r.ask(HELLO, f"retried-{n}")
            history = [*HELLO, said, *HELLO]
            await asyncio.gather(*(r.ask(history, f"retried-{n}", i) for i in range(2)))

    second = [record for record in r.records if record.turn == 2]
    assert sum(record.ahead is not None for record in second) == pairs
    by_conversation = dict[str, list[str]]()
    for record in second:
        by_conversation.setdefault(record.conversation, []).append(record.drawn)
    same = sum(len(set(drawn)) == 1 for drawn in by_conversation.values())
    chance = sum((weight / 6) ** 2 for weight in weights.values())
    z = (same - pairs * chance) / math.sqrt(pairs * chance * (1 - chance))
    assert 2 * norm.sf(abs(z)) > LEVEL, f"{same} of {pairs} are the same; {ODDS}"


async def test_draws_ahead_are_as_random_as_others(redis: RedisServer) -> None:
    """They fit the weights, and the one before does not tell the next."""
    weights = {"a": 5, "b": 3, "c": 2}
    async with routers(config(weights=weights, store=redis.url), count=2) as r:
        for n in range(DRAWS // 10):
            await r.talk(10, f"random-{n}")

    drawn = [record.drawn for record in r.records]
    counts = Counter(drawn)
    p = chisquare([counts[n] for n in weights], [DRAWS * w / 10 for w in weights.values()]).pvalue
    assert p > LEVEL, f"{counts} does not fit {weights} (p = {p:.2g}); {ODDS}"
    agreements = sum(one == other for one, other in pairwise(drawn))
    chance = sum((w / 10) ** 2 for w in weights.values())
    # Pairs overlap, which adds covariance: sum of p^3 less the square of the sum of p^2.
    covariance = sum((w / 10) ** 3 for w in weights.values()) - chance**2
    variance = (DRAWS - 1) * (chance * (1 - chance) + 2 * covariance)
    z = (agreements - (DRAWS - 1) * chance) / math.sqrt(variance)
    assert 2 * norm.sf(abs(z)) > LEVEL, f"{agreements} pairs agree (z = {z:.2f}); {ODDS}"
    for record in r.records:
        again = draw(normalise(record.probabilities), record.uniform)
        assert again.component == record.drawn
        if record.ahead is not None:
            keyed = uniform("", record.conversation, record.turn, record.ahead)
            assert keyed == record.uniform


async def test_a_change_of_weights_holds_for_what_was_drawn_ahead() -> None:
    """The nonce waits, and the distribution of the moment decides."""
    before, after = (
        config(weights={"a": 1, "b": 1, "c": 0}),
        config(weights={"a": 0, "b": 0, "c": 1}),
    )
    async with routers(before) as r:
        said = await r.ask(HELLO)
        r.use(after)
        await r.ask([*HELLO, said, *HELLO])

    assert r.records[1].ahead
    assert r.records[1].component == "c"


async def test_an_idempotency_key_comes_first() -> None:
    """A client that repeats a draw gets the same one."""
    async with routers(config()) as r:
        said = await r.ask(HELLO)
        for _ in range(3):
            await r.ask([*HELLO, said, *HELLO], key="again")

    assert not any(record.ahead for record in r.records)
    assert len({record.drawn for record in r.records[1:]}) == 1


async def test_without_a_store_requests_are_drawn_as_ever() -> None:
    """It is counted, and nobody waits for a store that is away."""
    async with routers(config(store="redis://127.0.0.1:1")) as r:
        await r.talk(4)

    assert not any(record.ahead for record in r.records)
    assert {record.state for record in r.records} == {"finished"}
    assert r.seen[None, "no_store"] > 0
    assert not r.engines.read()


@pytest.mark.parametrize(("model", "finish"), [("a", "stop"), ("blend", "tool_calls")])
async def test_only_a_response_of_the_blend_after_which_the_user_speaks_looks_ahead(
    model: str, finish: str
) -> None:
    """Not one of a named component, nor one that calls tools, whose results come next."""
    async with routers(config("a", "b")) as r:
        r.engines.finish = finish
        for _ in range(20):
            body = {"model": model, "messages": HELLO}
            await r.clients[0].post("/v1/chat/completions", json=body)
            await r.settled()

    assert len(r.records) == 20
    assert not r.engines.read()
    assert not r.seen


LIMITED = {"Authorization": "Bearer limited"}


def keys_file(folder: Path, tokens_per_minute: int) -> str:
    """A file with one key, which has this limit."""
    sha256 = hashlib.sha256(b"limited").hexdigest()
    entry = {"name": "app", "sha256": sha256, "tokens_per_minute": tokens_per_minute}
    path = folder / "keys.yaml"
    path.write_text(json.dumps({"keys": [entry]}))
    return str(path)


async def test_a_request_that_is_refused_leaves_the_draw(tmp_path: Path) -> None:
    """The next one takes it: neither a wrong field nor a used-up limit costs what was read."""
    async with routers(config("a", "b", keys=keys_file(tmp_path, 40))) as r:
        body = {"model": "blend", "messages": HELLO, "max_tokens": 1000}
        client, statuses = r.clients[0], []
        said = (await client.post("/v1/chat/completions", json=body, headers=LIMITED)).json()
        await r.settled()
        history = [*HELLO, said["choices"][0]["message"], *HELLO]
        refused: dict[str, Any] = {"audio": {}}
        for fields in (refused, {}, {}):
            asked = {"model": "blend", "messages": history, **fields}
            answer = await client.post("/v1/chat/completions", json=asked, headers=LIMITED)
            statuses.append(answer.status_code)

    assert statuses == [400, 200, 429]
    assert r.records[-1].ahead


async def test_an_older_redis_is_enough() -> None:
    """GETDEL came with Redis 6.2; an error of it would end the limits of keys as well."""
    with redis_server() as server:
        with Redis(port=server.port) as client:
            client.execute_command("ACL", "SETUSER", "default", "-getdel")
        async with routers(config(store=server.url)) as r:
            await r.talk(4)

    assert sum(record.ahead is not None for record in r.records) == 3
    assert not r.seen[None, "no_store"]


async def test_a_request_that_waits_for_its_draw_has_cost_nothing_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its client may leave before a component is asked."""
    taking = asyncio.Event()

    async def never(_: str) -> str:
        taking.set()
        await asyncio.Event().wait()
        raise AssertionError

    second = [*HELLO, {"role": "assistant", "content": "Hi!"}, *HELLO]
    async with routers(config("a", keys=keys_file(tmp_path, 1000))) as r:
        api = r.apis[0]
        assert api.access is not None
        monkeypatch.setattr(api.access.store, "take", never)
        inside = httpx.ASGITransport(api.application())
        async with httpx.AsyncClient(transport=inside, base_url="http://router") as client:
            body = {"model": "blend", "messages": second, "max_tokens": 500}
            asked = asyncio.create_task(
                client.post("/v1/chat/completions", json=body, headers=LIMITED)
            )
            await taking.wait()
            asked.cancel()
            await asyncio.wait({asked})
        first = {"model": "blend", "messages": HELLO, "max_tokens": 100}
        answer = await r.clients[0].post("/v1/chat/completions", json=first, headers=LIMITED)

    assert asked.cancelled()
    assert int(answer.headers["x-ratelimit-remaining-tokens"]) > 800
