"""Policies in the router: their probabilities are drawn from and recorded, and cost no answer."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import chisquare

from blended.config import BlendConfig
from blended.experiments.assignment import Assignment
from blended.learning import features
from blended.learning.features import Facts
from blended.router import operations, policies
from blended.router.blend import resolve
from blended.router.inquiry import Inquiry
from blended.router.intake import inquiry_of
from blended.router.selection import SelectionDistribution, draw
from blended.router.turns import Turn
from tests.journal.databases import kept as rows_of
from tests.journal.journals import database, journal
from tests.learning.policies import kept, policy
from tests.router.test_experiments import EXPERIMENT
from tests.support import ENVIRON, HELLO, blend, eventually, rig

DRAWS = 30_000
LEVEL = 1e-6
ODDS = "the odds of this for a correct draw are one in a million"
WORDS = {"sun": "a", "rain": "b", "snow": "c"}


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder of the test's own."""
    monkeypatch.setenv("BLENDED_STATE_DIR", str(tmp_path))
    return tmp_path


def said(text: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text}]


def config(given: Any, **fields: Any) -> BlendConfig:
    return blend("a", "b", "c", selection={"policy": given, **fields})


def inquiry(made: BlendConfig, text: str, number: int) -> Inquiry:
    """A request to the router's front, without a network."""
    payload = {"model": "blend", "messages": said(text)}
    turn = Turn(f"c{number}", 1)
    asked = operations.Asked(payload, payload, turn, 100, 10)
    resolved = resolve(made, "http://nowhere", ENVIRON)
    return inquiry_of(resolved, operations.CHATS, asked, "key", {}, None, 1e9)


def test_draws_fit_the_probabilities_that_are_recorded(state: Path) -> None:
    """30,000 draws: each again from its number and probabilities; the components by either."""
    made = kept(state, policy(words=WORDS, temperature=0.4))
    asked, rng = inquiry(config(made.reference), "sun", 0), np.random.default_rng(1)
    counts, expected = Counter[str](), Counter[str]()
    by_chance = dict[float, list[bool]]()
    for number in range(DRAWS):
        text = " ".join(rng.choice(["sun", "rain", "snow", "fog"], 2))
        fresh = replace(asked, turn=Turn(f"c{number}", 1), nonce=str(number))
        drawn = policies.decided(fresh, Facts(1), features.words(text), lambda *_: None)
        found, logged = drawn.first_draw, json.loads(json.dumps(drawn.distribution.by_component))

        assert drawn.policy == made.reference
        assert min(logged.values()) >= made.floor
        again = draw(SelectionDistribution(tuple(logged), tuple(logged.values())), found.uniform)
        assert (again.component, again.propensity) == (found.component, found.propensity)
        counts[found.component] += 1
        for name, p in logged.items():
            expected[name] += p
            by_chance.setdefault(round(p, 9), []).append(name == found.component)

    p = chisquare([counts[n] for n in "abc"], [expected[n] for n in "abc"]).pvalue
    assert p > LEVEL, f"{counts} does not fit {expected}; {ODDS}"
    assert len(by_chance) > 5
    for chance, hits in by_chance.items():
        n, k = len(hits), sum(hits)
        p = chisquare([k, n - k], [n * chance, n * (1 - chance)]).pvalue
        assert p > LEVEL / len(by_chance), f"{k} of {n} at {chance}; {ODDS}"


async def test_the_message_decides_and_the_record_tells_how(state: Path, tmp_path: Path) -> None:
    """The journal has the policy, what was known, and the probabilities that were used."""
    made = kept(state, policy(words=WORDS))
    with journal(tmp_path) as keeping:
        async with rig(config(made.reference), keeping) as r:
            for text in ("sun", "rain", "snow"):
                for _ in range(4):
                    await r.chat(messages=said(text), headers={"X-User-ID": "u"})
            await eventually(lambda: len(r.records) == 12)
        chances = [r.records[place].probabilities for place in (0, 4, 8)]
    for place, name in enumerate("abc"):
        assert chances[place][name] == pytest.approx(0.8)
    rows = rows_of(database(tmp_path))
    assert {row.policy for row in rows} == {made.reference}
    assert {row.facts["words"] for row in rows} == {1}
    assert all(row.facts["version"] == features.VERSION for row in rows)
    assert Counter(r.policies) == {(made.reference, "used"): 12}


async def test_an_arm_draws_by_its_policy(state: Path, tmp_path: Path) -> None:
    """The other arm, and requests for a component, do not."""
    made = kept(state, policy(words=WORDS))
    arms = [{"id": "uniform"}, {"id": "learned", "policy": made.reference}]
    experiment = EXPERIMENT | {"control": "uniform", "arms": arms}
    with journal(tmp_path) as keeping:
        async with rig(blend("a", "b", "c", experiments=[experiment]), keeping) as r:
            for user in range(20):
                await r.chat(messages=said("sun"), headers={"X-User-ID": f"u{user}"})
            await r.chat(model="b", headers={"X-User-ID": "u0"})
            await eventually(lambda: len(r.records) == 21)

    by_arm = {(x.arm, x.policy, round(x.probabilities["a"], 6)) for x in r.records[:20]}
    assert by_arm == {("uniform", None, 0.333333), ("learned", made.reference, 0.8)}
    assert (r.records[20].policy, r.records[20].probabilities) == (None, {"b": 1.0})
    assert all(x.facts for x in r.records[:20])
    assert r.records[20].facts is None


@pytest.mark.parametrize("missing", ["file", "floor", "component"])
async def test_without_a_policy_that_is_of_use_the_weights_decide(
    state: Path, missing: str, caplog: pytest.LogCaptureFixture
) -> None:
    """No file, one that leaves too little, one that does not know a component: all are counted."""
    components = ("a", "b") if missing == "component" else ("a", "b", "c")
    made = policy(components, words={"sun": "a"}, floor=0.05 if missing == "floor" else 0.1)
    if missing != "file":
        kept(state, made)
    async with rig(config(made.reference)) as r:
        response = await r.chat(messages=said("sun"))
        await eventually(lambda: len(r.records) == 1)

    assert response.status_code == 200
    assert (r.records[0].policy, r.records[0].probabilities["a"]) == (None, 1 / 3)
    outcome = "failed" if missing == "component" else "missing"
    assert r.policies == [(made.reference, outcome)]
    assert made.reference in caplog.text


async def test_a_policy_that_fails_costs_no_answer(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it raises, the weights decide."""
    made = kept(state, policy(words=WORDS))

    def broken(*_: Any) -> Any:
        raise ZeroDivisionError

    async with rig(config(made.reference)) as r:
        monkeypatch.setattr("blended.learning.features.vector", broken)
        response = await r.chat(messages=said("sun"))
        await eventually(lambda: len(r.records) == 1)

    assert response.status_code == 200
    assert r.records[0].policy is None
    assert r.policies == [(made.reference, "failed")]


def test_a_policy_that_is_late_leaves_the_draw_to_the_weights(state: Path) -> None:
    """The time-out is the one of the blend's file."""
    made = kept(state, policy(words=WORDS))
    given = {"name": made.name, "version": made.version, "timeout_ms": 3}
    asked = inquiry(config(given), "sun", 0)
    outcomes = list[str]()

    for took_s in (0.0029, 0.0031):
        clock = iter([10.0, 10.0 + took_s]).__next__
        drawn = policies.decided(
            asked, Facts(1), ["sun"], lambda _, came: outcomes.append(came), clock
        )
        assert (drawn.policy is None) == (outcomes[-1] == "late")
    assert outcomes == ["used", "late"]


async def test_needs_and_weights_restrict_what_a_policy_gives(state: Path) -> None:
    """A component without a weight is never drawn; one that lacks what is needed is left out."""
    made = kept(state, policy(words={"sun": "b"}))
    data = config(made.reference, weights={"a": 1, "b": 1, "c": 0}).model_dump(mode="json")
    data["components"][1]["capabilities"] = []
    data["components"][0]["capabilities"] = ["tools"]
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    async with rig(BlendConfig.model_validate(data)) as r:
        await r.chat(messages=said("sun"))
        await r.chat(messages=said("sun"), tools=tools)
        await eventually(lambda: len(r.records) == 2)

    assert r.records[0].probabilities == pytest.approx({"a": 0.1, "b": 0.9, "c": 0})
    assert r.records[1].probabilities == {"a": 1.0, "c": 0.0}
    assert r.records[1].component == "a"


async def test_completions_are_drawn_by_the_weights(state: Path) -> None:
    """A policy is for chats."""
    made = kept(state, policy(words=WORDS))
    async with rig(config(made.reference)) as r:
        await r.client.post("/v1/completions", json={"model": "blend", "prompt": "sun"})
        await eventually(lambda: len(r.records) == 1)

    assert (r.records[0].policy, r.records[0].facts) == (None, None)


async def test_components_expect_what_a_policy_gave_them(state: Path) -> None:
    """Autoscaling follows the probabilities that were used, not the weights."""
    made = kept(state, policy(words=WORDS))
    async with rig(config(made.reference)) as r:
        for _ in range(10):
            await r.chat(messages=said("sun"))
        assert r.api.blend is not None
        rates = r.api.arrivals.expected(r.api.blend)[60.0]

    assert {name: round(60 * rate, 6) for name, rate in rates.items()} == {"a": 8, "b": 1, "c": 1}


async def test_a_repeated_key_repeats_the_draw(state: Path) -> None:
    """What was recalled in between does not change it."""
    made = kept(state, policy(after={"a": "b", "b": "a", "c": "b"}))
    history = [*HELLO, {"role": "assistant", "content": "Hi."}, *HELLO]
    async with rig(config(made.reference)) as r:
        named = {"X-Conversation-ID": "c"}
        await r.chat(headers=named)
        for _ in range(4):
            await r.chat(messages=history, headers=named | {"Idempotency-Key": "k"})
        await eventually(lambda: len(r.records) == 5)

    later = r.records[1:]
    assert len({(x.drawn, x.uniform, json.dumps(x.probabilities)) for x in later}) == 1


def test_what_is_read_ahead_is_drawn_before_the_message_is_known(state: Path) -> None:
    """By the component that answered; the words decide nothing yet."""
    made = kept(state, policy(words={"sun": "a"}, after={"c": "b"}))
    asked = inquiry(config(made.reference), "sun", 0)
    decided = policies.decided(asked, Facts(1), ["sun"], lambda *_: None)

    ahead = policies.expected(decided, "c")
    assert decided.distribution.by_component["a"] == pytest.approx(0.8)
    assert ahead.distribution.by_component["b"] == pytest.approx(0.8)
    plain = inquiry(blend("a", "b", "c"), "sun", 0)
    assert policies.expected(plain, "c") is plain


def test_an_arm_without_a_policy_has_the_blends_own(state: Path) -> None:
    """Unless it has weights."""
    made = kept(state, policy(words=WORDS))
    arms = [{"id": "own"}, {"id": "fixed", "weights": {"a": 1, "b": 1}}]
    experiment = EXPERIMENT | {"control": "own", "arms": arms}
    selection = {"policy": made.reference}
    resolved = resolve(
        blend("a", "b", "c", selection=selection, experiments=[experiment]), "http://x", ENVIRON
    )
    found = {arm: resolved.policy_of(Assignment("one-or-all", arm)) for arm in ("own", "fixed")}

    assert found["own"] == resolved.policy_of(None) == resolved.config.selection.policy
    assert found["fixed"] is None
