"""Look-ahead: the next turn's component is drawn early, and reads the conversation meanwhile."""

import asyncio
import json
import math
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import httpx
import pytest
from scipy.stats import chisquare, norm
from starlette.types import Receive, Scope, Send

from blended.config import BlendConfig
from blended.journal.records import ResponseRecord
from blended.router.access.gate import access
from blended.router.api import Api
from blended.router.blend import resolve
from blended.router.selection import draw, normalise, uniform
from loadtests.harness.redis_server import RedisServer, redis_server
from tests.support import CLIENT_KEY, ENVIRON, HELLO, body_of, eventually, serving

DRAWS = 1_000
# A correct draw fails at this level for one in a million seeds.
LEVEL = 1e-6
ODDS = "the odds of this for a correct draw are one in a million"

ENGINE = {"model": "demo:ember", "accelerator": "cpu", "max_model_len": 4096}


@dataclass
class Engines:
    """Engines below /components/, which say their name; they keep the requests that they got.

    Responses end for the reason `finish`. `statuses` are those of readings, and `held` the engines
    whose readings wait for `release`: `holding` counts them, `cut` those whose router has left.
    """

    finish: str = "stop"
    statuses: dict[str, int] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)
    release: asyncio.Event = field(default_factory=asyncio.Event)
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    holding: int = 0
    cut: int = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        body = await body_of(receive)
        name = scope["path"].split("/")[2]
        status = 200
        document: dict[str, Any] = {"data": []}
        if body:
            request = json.loads(body)
            self.asked.append((name, request))
            if is_reading(request):
                status = self.statuses.get(name, 200)
                await self.hold(name, receive)
            document = answer(name, self.finish)
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps(document).encode()})

    async def hold(self, name: str, receive: Receive) -> None:
        if name not in self.held:
            return
        self.holding += 1
        gone = asyncio.ensure_future(receive())
        released = asyncio.ensure_future(self.release.wait())
        await asyncio.wait({gone, released}, return_when=asyncio.FIRST_COMPLETED)
        self.holding -= 1
        self.cut += gone.done()

    def read(self) -> list[tuple[str, dict[str, Any]]]:
        return [(name, request) for name, request in self.asked if is_reading(request)]


def is_reading(request: dict[str, Any]) -> bool:
    return request.get("max_tokens") == 1


def answer(name: str, finish: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": f"I am {name}."}
    usage = {
        "prompt_tokens": 30,
        "completion_tokens": 4,
        "total_tokens": 34,
        "prompt_tokens_details": {"cached_tokens": 16},
    }
    choice = {"index": 0, "message": message, "finish_reason": finish}
    return {"id": "x", "model": name, "choices": [choice], "usage": usage}


def config(*names: str, weights: Any = None, store: str = "memory://", **more: Any) -> BlendConfig:
    """A blend of engines whose context is large; `more` are further fields of each."""
    engine = {"kind": "vllm", "engine": ENGINE, **more}
    components = [{"id": name, **engine} for name in names or "abc"]
    selection = {"look_ahead": True, **({"weights": weights} if weights else {})}
    api = {"reveal_component": True, "shared_store": store}
    fields = {"name": "blend", "components": components, "selection": selection, "api": api}
    return BlendConfig.model_validate(fields)


@dataclass
class Routers:
    """Routers before the same engines, asked in turns; `seen` is what they count."""

    engines: Engines
    engines_url: str
    apis: list[Api]
    clients: list[httpx.AsyncClient]
    records: list[ResponseRecord]
    seen: Counter[tuple[str | None, str]]

    async def ask(
        self, messages: list[Any], name: str = "", number: int = 0, key: str | None = None
    ) -> dict[str, Any]:
        """The message that answers, in the conversation `name`, from the router of this number."""
        headers = {"Idempotency-Key": key} if key else {}
        body = {"model": "blend", "messages": messages, "prompt_cache_key": name}
        client = self.clients[number % len(self.clients)]
        response = await client.post("/v1/chat/completions", json=body, headers=headers)
        assert response.status_code == 200, response.text
        await self.settled()
        message: dict[str, Any] = response.json()["choices"][0]["message"]
        return message

    async def until_read(self, messages: list[Any], **fields: Any) -> dict[str, Any]:
        """Begin conversations until the next turn of one is another component's to read."""
        for _ in range(60):
            body = {"model": "blend", "messages": messages, **fields}
            await self.clients[0].post("/v1/chat/completions", json=body)
            await self.settled()
            if found := self.engines.read():
                return found[0][1]
        raise AssertionError("nothing was read; the odds of this are below one in a million")

    async def settled(self) -> None:
        """Wait until nothing is under way but the readings that engines hold."""
        ahead = [api.look_ahead for api in self.apis]
        await eventually(lambda: sum(a.under_way for a in ahead) == self.engines.holding)

    def use(self, blend: BlendConfig) -> None:
        """Change the blend of all routers, as a live change does."""
        for api in self.apis:
            assert api.access is not None
            api.use(resolve(blend, self.engines_url, ENVIRON), api.access, None)

    async def talk(self, turns: int, name: str = "") -> None:
        """A conversation of so many turns, each at the next router."""
        messages: list[Any] = []
        for turn in range(turns):
            messages.append({"role": "user", "content": f"Question {turn}."})
            messages.append(await self.ask(messages, name, turn))


@asynccontextmanager
async def routers(blend: BlendConfig, count: int = 1) -> AsyncIterator[Routers]:
    engines, records = Engines(), list[ResponseRecord]()
    seen, apis, clients = Counter[tuple[str | None, str]](), list[Api](), list[httpx.AsyncClient]()

    def counted(component: str | None, outcome: str, by: int) -> None:
        seen[component, outcome] += by

    async with AsyncExitStack() as stack:
        engines_url = await stack.enter_async_context(serving(engines))
        for _ in range(count):
            api = Api(lambda record, _: records.append(record), on_look_ahead=counted)
            api.use(resolve(blend, engines_url, ENVIRON), access(blend.api, ENVIRON), None)
            url = await stack.enter_async_context(serving(api.application()))
            headers = {"Authorization": f"Bearer {CLIENT_KEY}"}
            client = httpx.AsyncClient(base_url=url, headers=headers, timeout=30)
            apis.append(api)
            clients.append(await stack.enter_async_context(client))
        yield Routers(engines, engines_url, apis, clients, records, seen)


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


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


async def test_a_reading_is_the_beginning_of_the_next_prompt() -> None:
    """The history with the response, in the component's form, for one token after all others."""
    tools = [{"type": "function", "function": {"name": "now", "parameters": {}}}]
    args = {"enable_auto_tool_choice": True, "tool_call_parser": "hermes"}
    form: dict[str, Any] = {
        "history": {"alternate": True, "system": "fold"},
        "engine": ENGINE | {"args": args},
    }
    system = {"role": "system", "content": "Be kind."}
    async with routers(config("a", "b", **form)) as r:
        reading = await r.until_read([system, *HELLO], tools=tools, stop=["."], temperature=0.4)

    assert [message["role"] for message in reading["messages"]] == ["user", "assistant"]
    assert reading["messages"][0]["content"] == "Be kind.\n\nHello!"
    assert reading["messages"][1]["content"].startswith("I am ")
    assert reading["tools"] == tools
    assert reading["add_generation_prompt"] is False
    assert reading["priority"] > 0
    assert reading["cache_salt"]
    assert not {"stream", "stop", "tool_choice"} & reading.keys()


async def test_nothing_but_metrics_tells_of_a_reading() -> None:
    """It is no response: it has no record and no arrival."""
    async with routers(config()) as r:
        await r.until_read(HELLO)
        expected = r.apis[0].arrivals.expected(r.apis[0].blend)  # type: ignore[arg-type]

    asked = len(r.engines.asked) - len(r.engines.read())
    assert len(r.records) == asked
    assert sum(rate for rate in expected[60].values()) == pytest.approx(asked / 60)
    (component, _), *_ = r.engines.read()
    assert r.seen[component, "asked"] == 1
    assert r.seen[component, "tokens"] == 30 - 16


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


@pytest.mark.parametrize("status", [400, 429, 500])
async def test_a_component_that_refuses_to_read_costs_nothing(status: int) -> None:
    """It is asked once, answers requests as before, and a full one is not asked again at once."""
    async with routers(config()) as r:
        r.engines.statuses = dict.fromkeys("abc", status)
        for n in range(20):
            await r.talk(3, f"c{n}")

    assert {record.state for record in r.records} == {"finished"}
    assert not any(record.failures for record in r.records)
    asked = sum(r.seen[name, "asked"] for name in "abc")
    assert sum(r.seen[name, "dropped"] for name in "abc") == asked
    if status == 429:
        assert asked <= 3
        assert sum(r.seen[name, "busy"] for name in "abc") > 0


async def test_a_component_reads_few_conversations_at_once() -> None:
    """The others are drawn ahead all the same."""
    async with routers(config("a", "b")) as r:
        r.engines.held = {"a", "b"}
        for n in range(30):
            await r.ask(HELLO, f"c{n}")
        counts = Counter(name for name, _ in r.engines.read())
        r.engines.release.set()
        r.engines.held = set()
        await r.settled()

    # By chance a component is drawn less than twice after the other in one run of a million.
    assert counts == {"a": 2, "b": 2}
    assert r.seen["a", "busy"] + r.seen["b", "busy"] > 0


async def test_a_request_ends_the_reading_that_is_still_under_way() -> None:
    """It would compete with the request."""
    async with routers(config("a", "b")) as r:
        r.engines.held = {"a", "b"}
        for n in range(60):
            said = await r.ask(HELLO, f"c{n}")
            if r.engines.read():
                break
        await r.ask([*HELLO, said, *HELLO], f"c{n}")
        await eventually(lambda: r.engines.cut == 1)

    assert r.records[-1].state == "finished"


async def test_a_router_that_ends_reads_no_more() -> None:
    """What is under way ends with it."""
    async with routers(config("a", "b")) as r:
        r.engines.held = {"a", "b"}
        for n in range(60):
            await r.ask(HELLO, f"c{n}")
            if r.engines.read():
                break
        assert r.apis[0].look_ahead.under_way

    assert not r.apis[0].look_ahead.under_way


@pytest.mark.parametrize("prefetch", [True, False])
async def test_a_remote_component_reads_ahead_if_it_says_so(prefetch: bool) -> None:
    """It may bill for it; it gets no field that only engines know."""
    async with serving(engines := Engines()) as url:
        remote = {
            "kind": "remote",
            "base_url": f"{url}/components/far/v1",
            "model": "m",
            "prefetch": prefetch,
        }
        components = [{"id": name, **remote} for name in ("a", "b")]
        fields = {"name": "blend", "components": components, "selection": {"look_ahead": True}}
        async with routers(BlendConfig.model_validate(fields)) as r:
            for n in range(40):
                await r.ask(HELLO, f"c{n}")

    assert bool(engines.read()) is prefetch
    for _, reading in engines.read():
        assert not {"add_generation_prompt", "priority", "cache_salt"} & reading.keys()


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
