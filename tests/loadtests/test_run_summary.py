"""What is made of responses: figures, quantiles, parts of a run, and the knee of a load."""

import math
import random
from typing import Any

import pytest

from loadtests.users import run_summary
from loadtests.users.tally import Histogram, Ledger, LedgerEntry, Level


def responded(*gaps_s: float, **fields: Any) -> LedgerEntry:
    """A response whose tokens came after these gaps, the first of them after the request."""
    times_s = [10 + sum(gaps_s[: n + 1]) for n in range(len(gaps_s))]
    values: dict[str, Any] = {
        "outcome": "finished",
        "model": "blend",
        "of_blend": True,
        "turn": 1,
        "began_s": 10.0,
        "ended_s": 10 + sum(gaps_s),
        "tokens_s": tuple(times_s),
        "component": "a",
    }
    return LedgerEntry(**(values | fields))


def ledger(*responses: LedgerEntry, level: Level = Level()) -> Ledger:  # noqa: B008 - it is frozen
    """A ledger of these, in slots of one second by when they began."""
    found = Ledger(level, slot_s=1)
    for response in responses:
        found.add(response, response.began_s - 10)
    return found


def test_figures_are_those_of_the_tokens() -> None:
    """TTFT, ITL, TPOT and E2E by their definitions, to 1 %."""
    found = run_summary.groups(ledger(responded(0.5, 0.1, 0.3)))["all"]

    assert found["tokens"] == 3
    for name, low, high in (
        ("ttft_ms", 500, 500),
        ("itl_ms", 100, 300),
        ("tpot_ms", 200, 200),
        ("e2e_ms", 900, 900),
    ):
        assert found[name]["p50"] == pytest.approx(low, rel=0.0101)
        assert found[name]["p99"] == pytest.approx(high, rel=0.0101)


def test_only_finished_responses_have_times() -> None:
    """Whatever else became of them is counted; goodput is of the finished and failed."""
    found = run_summary.groups(
        ledger(
            responded(0.1),
            responded(50, outcome="failed"),
            responded(60, outcome="abandoned"),
            responded(70, outcome="unfinished"),
        )
    )["all"]

    assert found["responses"] == 4
    assert found["goodput"] == 0.5
    assert found["ttft_ms"]["p99"] == found["e2e_ms"]["p99"] == pytest.approx(100, rel=0.0101)


@pytest.mark.parametrize(
    ("gaps_s", "level", "keeps"),
    [
        ((0.5, 0.1), Level(), True),
        ((0.5, 0.1), Level(0.5, 0.1001), True),
        ((0.5, 0.1), Level(0.49, None), False),
        ((0.5, 0.1, 0.3), Level(None, 0.19), False),
        ((), Level(0.001, 0.001), True),
    ],
)
def test_goodput_is_of_all_bounds(gaps_s: tuple[float, ...], level: Level, keeps: bool) -> None:
    """First tokens, and the mean between tokens; what is not streamed has neither."""
    assert responded(*gaps_s).keeps(level) is keeps


def test_ledgers_of_workers_add_up() -> None:
    """As Locust's messages carry them; what was taken is taken."""
    responses = [responded(0.1 * n, 0.01, turn=n, began_s=10.0 + n) for n in range(1, 8)]
    whole, master = ledger(*responses), Ledger(Level(), slot_s=1)
    for worker in (ledger(*responses[:3]), ledger(*responses[3:])):
        master.give(worker.take())
        master.give(worker.take())

    assert run_summary.groups(master) == run_summary.groups(whole)
    assert run_summary.parts(master, 9) == run_summary.parts(whole, 9)
    assert set(run_summary.groups(whole)["by_turn"]) == {"1", "2 to 4", "5 on"}


def test_quantiles_are_at_most_a_hundredth_off() -> None:
    """Of any times, by the nearest rank."""
    rng, histogram = random.Random(1), Histogram()
    values = sorted(rng.lognormvariate(-4, 2) for _ in range(10_001))
    for value in values:
        histogram.add(value)

    for share in (0.001, 0.5, 0.99, 1.0):
        exact = values[math.ceil(share * len(values)) - 1]
        assert histogram.quantile(share) == pytest.approx(exact, rel=0.0101)
    assert Histogram().quantile(0.5) is None


def loaded(responses_per_s: float, goodput: float, responses: int = 100) -> dict[str, Any]:
    """A part of a run."""
    times = {"ttft_ms": None, "tpot_ms": None}
    return {
        "responses_per_s": responses_per_s,
        "goodput": goodput,
        "responses": responses,
        **times,
    }


def test_the_knee_is_the_largest_load_that_keeps_the_level() -> None:
    """Bracketed when a larger one did not; parts of few responses say nothing."""
    nobody = loaded(12, 1) | {"goodput": None}
    parts = [loaded(2, 1), loaded(4, 0.995), loaded(6, 0.9), loaded(9, 1, responses=5), nobody]
    knee, early = run_summary.knee(parts), run_summary.knee(parts[:2])

    assert knee is not None
    assert early is not None
    assert (knee["responses_per_s"], knee["is_bracketed"]) == (4, True)
    assert (early["responses_per_s"], early["is_bracketed"]) == (4, False)
    assert run_summary.knee(parts[2:]) is None


def test_parts_leave_out_what_settles() -> None:
    """The first third of each; the load is that of the other two."""
    began = (0.5, 1.5, 2.5, 2.6, 3.5, 4.5)
    found = run_summary.parts(ledger(*(responded(0.1, began_s=10 + at_s) for at_s in began)), 6)

    assert [(part["from_s"], part["responses_per_s"]) for part in found] == [(1, 1.5), (4, 0.5)]


def test_a_run_without_an_end_has_no_parts() -> None:
    """Nor has it a knee."""
    assert run_summary.parts(ledger(responded(0.1)), math.inf) == []
    assert run_summary.knee([]) is None


def test_tokens_that_came_together_have_no_time_between_them() -> None:
    """A response of pairs 40 ms apart: the user sees 40 ms, not the pair's 10 µs."""
    times = [round(0.04 * pair + 1e-5 * half, 6) for pair in range(1, 51) for half in (0, 1)]
    ledger = Ledger(Level(), 10)
    ledger.add(LedgerEntry("finished", "m", True, 1, 0.0, 2.1, tuple(times)), 0.0)
    found = run_summary.figures(ledger.tally("all"))

    assert found["tokens"] == 100
    assert found["itl_ms"]["p50"] == pytest.approx(40, rel=0.01)
    assert found["tpot_ms"]["p50"] == pytest.approx(1960 / 99, rel=0.01)
