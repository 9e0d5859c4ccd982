"""The rates that a router replica expects, counted from the requests to its API."""

from pathlib import Path
from typing import Any

import pytest

from blended.config import BlendConfig
from blended.router.access.gate import access
from blended.router.arrivals import Arrivals
from blended.router.blend import resolve
from tests.journal.journals import journal
from tests.support import ENVIRON, Rig, blend, rig

WINDOW_S = 60.0
WEIGHTS = {"a": 3, "b": 1}


def rates(r: Rig) -> dict[str, float]:
    """The requests of the window by component, as the router expects them."""
    assert r.api.blend is not None
    expected = r.api.arrivals.expected(r.api.blend)[WINDOW_S]
    return {component: round(rate * WINDOW_S, 9) for component, rate in expected.items()}


def use(r: Rig, config: BlendConfig) -> None:
    """Change the router's blend live; its components keep their addresses."""
    assert r.api.blend is not None
    url = r.api.blend.upstreams["a"].base_url.removesuffix("/components/a/v1")
    r.api.use(resolve(config, url, ENVIRON), access(config.api, ENVIRON), None)


async def test_each_component_expects_its_part_of_what_is_asked() -> None:
    """Eight requests for the blend count by the weights, and one for b by its name."""
    async with rig(blend("a", "b", selection={"weights": WEIGHTS})) as r:
        for _ in range(8):
            await r.chat()
        await r.chat(model="b")

        assert rates(r) == {"a": 6, "b": 3}


async def test_other_weights_are_known_before_the_first_draw() -> None:
    """The requests so far count by the new weights, before another request comes."""
    async with rig(blend("a", "b", selection={"weights": WEIGHTS})) as r:
        for _ in range(8):
            await r.chat()
        use(r, blend("a", "b", selection={"weights": {"a": 0, "b": 1}}))

        assert rates(r) == {"a": 0, "b": 8}


async def test_a_component_that_is_unavailable_keeps_its_part() -> None:
    """The components asked in its place expect that beside their own part."""
    nobody = {"id": "b", "kind": "remote", "base_url": "http://127.0.0.1:1/v1", "model": "m"}
    data = blend("a", "b", selection={"weights": {"a": 0, "b": 1}}).model_dump(mode="json")
    data["components"][1] = nobody
    data["selection"]["weights"]["a"] = 1e-9
    async with rig(BlendConfig.model_validate(data)) as r:
        for _ in range(4):
            assert (await r.chat()).status_code == 200

        # The probability that a is never drawn is one in 250 million.
        assert rates(r) == {"a": pytest.approx(4), "b": pytest.approx(4)}


async def test_users_of_an_experiment_count_by_their_arm(tmp_path: Path) -> None:
    """An arm has its own weights; after the experiment its users count for the blend."""
    arms = [{"id": "all-b", "weights": {"b": 1}}, {"id": "rest", "share": 1e-9}]
    times = {"start": "2020-01-01", "end": "2100-01-01"}
    experiment = {"name": "one", **times, "control": "rest", "arms": arms}
    fields: dict[str, Any] = {"selection": {"weights": {"a": 1, "b": 0}}}
    with journal(tmp_path) as kept:
        async with rig(blend("a", "b", experiments=[experiment], **fields), kept) as r:
            for _ in range(3):
                await r.chat(user="somebody")
            before = rates(r)
            use(r, blend("a", "b", **fields))

            assert (before, rates(r)) == ({"a": 0, "b": 3}, {"a": 3, "b": 0})


async def test_refused_requests_are_not_expected() -> None:
    """A wrong request, or one for an unknown model, counts for no component."""
    async with rig(blend("a")) as r:
        statuses = {(await r.chat(messages=[])).status_code, (await r.chat("x")).status_code}

        assert statuses == {400, 404}
        assert rates(r) == {"a": 0}


def test_windows_forget() -> None:
    """A request leaves each window after the window's length, the short one first."""
    now = [100.0]
    config = blend("a")
    resolved = resolve(config, "http://127.0.0.1", ENVIRON)
    arrivals = Arrivals(lambda: now[0])
    arrivals.use(resolved)
    arrivals.count("blend")
    seen = []
    for passed_s in (0.0, 9.9, 0.2, 49.8, 0.2):
        now[0] += passed_s
        found = arrivals.expected(resolved)
        seen.append((found[60.0]["a"] > 0, found[10.0]["a"] > 0))

    assert seen == [(True, True), (True, True), (True, False), (True, False), (False, False)]
