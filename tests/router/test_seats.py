"""Seats: a conversation has few components, and each component its share of all conversations."""

from collections import Counter
from pathlib import Path

from scipy.stats import chisquare

from blended.config import BlendConfig
from blended.router.failover import Choice, Failure, choose
from blended.router.inquiry import seated
from blended.router.selection import draw, normalise, uniform
from blended.router.turns import Turn
from tests.journal.journals import journal
from tests.router.test_experiments import ask, config
from tests.support import blend, eventually, rig

CONVERSATIONS = 30_000
# Correct seats fail at this level for one in a million seeds; the seeds are fixed.
LEVEL = 1e-6
ODDS = "the odds of this for correct seats are one in a million"


def test_shares_over_conversations_are_the_weights() -> None:
    """One draw in each of 30,000 conversations with two seats fits the weights by chi-square."""
    weights = {"a": 5, "b": 3, "c": 2}
    whole = normalise(weights)
    counts = Counter[str]()
    for number in range(CONVERSATIONS):
        seats = seated(whole, 2, "seed", Turn(f"conversation-{number}", 1))
        taken = draw(seats, uniform("seed", f"conversation-{number}", 1, "nonce"))
        counts[taken.component] += 1

    expected = [CONVERSATIONS * weight / 10 for weight in weights.values()]
    p = chisquare([counts[name] for name in weights], expected).pvalue
    assert p > LEVEL, f"{counts} does not fit {weights} (p = {p:.2g}); {ODDS}"


async def test_a_conversation_keeps_to_its_seats() -> None:
    """All turns are drawn among them, and the record has the shares that decided."""
    seating = blend(*"abcdef", selection={"per_conversation": 2})
    async with rig(seating) as r:
        for number in range(12):
            history = []
            for turn in range(6):
                history += [{"role": "user", "content": f"{number}: question {turn}"}]
                await r.chat(messages=history)
                history += [{"role": "assistant", "content": "Yes."}]
        await eventually(lambda: len(r.records) == 72)

    conversations = {record.conversation for record in r.records}
    assert len(conversations) == 12
    for conversation in conversations:
        turns = [record for record in r.records if record.conversation == conversation]
        [seats] = {tuple(record.probabilities.items()) for record in turns}
        assert {share for _, share in seats} <= {0, 0.5, 1}
        assert len({record.component for record in turns}) <= 2
        for record in turns:
            assert record.propensity == record.probabilities[record.drawn] > 0


async def test_users_with_the_same_first_words_have_their_own_seats() -> None:
    """A conversation that is only derived is told apart by its user."""
    async with rig(blend(*"abcdef", selection={"per_conversation": 1})) as r:
        for number in range(40):
            await r.chat(headers={"X-User-ID": f"user-{number}"})
        await eventually(lambda: len(r.records) == 40)

    # By chance all six are not seen in one run of 250; the users' names are fixed.
    assert {record.component for record in r.records} == set("abcdef")


async def test_a_named_conversation_keeps_its_seats_whoever_speaks() -> None:
    """Also if only some of its requests name the user."""
    async with rig(blend(*"abcdef", selection={"per_conversation": 1})) as r:
        for number in range(10):
            named = {"X-Conversation-ID": f"conversation-{number}"}
            for user in ({}, {"X-User-ID": "one"}, {"X-User-ID": "two"}):
                await r.chat(headers=named | user)
        await eventually(lambda: len(r.records) == 30)

    seats = {(record.conversation, record.component) for record in r.records}
    assert len(seats) == 10


async def test_requests_with_needs_have_their_own_seats() -> None:
    """Among the components that have the capability; the others' seats stay."""
    simulation = {"ttft_ms": 0, "itl_ms": 0, "tokens": 4}
    components = [
        {
            "id": name,
            "kind": "simulated",
            "simulation": simulation,
            "capabilities": ["tools"] if name in "abc" else [],
        }
        for name in "abcdef"
    ]
    selection = {"per_conversation": 1}
    fields = {"name": "blend", "components": components, "selection": selection}
    tools = [{"type": "function", "function": {"name": "now", "parameters": {}}}]
    async with rig(BlendConfig.model_validate(fields)) as r:
        for number in range(10):
            headers = {"X-Conversation-ID": f"conversation-{number}"}
            for more in (None, tools, None, tools):
                await r.chat(headers=headers, tools=more)
        await eventually(lambda: len(r.records) == 40)

    seats = {(record.conversation, bool(record.needs), record.component) for record in r.records}
    assert len(seats) == 20
    assert {record.component for record in r.records if record.needs} <= set("abc")


async def test_a_named_component_has_no_seats() -> None:
    """A control arm's requests reach it always."""
    async with rig(blend("a", "b", selection={"per_conversation": 1})) as r:
        for number in range(10):
            content = f"Hello {number}"
            await r.chat("a", messages=[{"role": "user", "content": content}])

    assert {record.component for record in r.records} == {"a"}


async def test_an_arm_has_its_own_seats(tmp_path: Path) -> None:
    """An experiment can compare few components in a conversation with all of them."""
    arms = [{"id": "only-a", "per_conversation": 1}, {"id": "all"}]
    with journal(tmp_path) as kept:
        async with rig(config(arms=arms), kept) as r:
            await ask(r, 40)

    shares = {"only-a": {0.0, 1.0}, "all": {0.5}}
    for record in r.records:
        assert set(record.probabilities.values()) <= shares[record.arm or ""]


def test_when_no_seat_answers_the_others_do() -> None:
    """Seats are a preference: a conversation whose components are out is answered all the same."""
    whole = normalise({"a": 1, "b": 1, "c": 2})
    seats = normalise({"a": 1, "b": 0, "c": 0})
    failed = Failure(Choice("a", 1.0, ("a",)), "unavailable", repeatable=False)

    for out, failures in ((("a",), ()), ((), (failed,))):
        choice = choose(seats, out, failures, lambda _: 0.5, whole)
        assert choice is not None
        assert choice.component == "c"
        assert choice.propensity == 2 / 3
        assert choice.left == ("b", "c")
    assert choose(seats, (), (failed,), lambda _: 0.5) is None
