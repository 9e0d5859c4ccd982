"""The report of a load test, made of responses whose figures are known."""

import json
import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from blended.config import BlendConfig
from loadtests.harness.memory import ProcessMemory
from loadtests.harness.memory_growth import trend
from loadtests.report.__main__ import main, weights
from loadtests.report.page import page
from loadtests.soak import result
from loadtests.users import run_summary
from loadtests.users.people import load
from loadtests.users.tally import Ledger, LedgerEntry, Level
from tests.experiments.chromium import dom, screenshot

FAST, SLOW_S = 0.1, 0.9
STEPS, STEP_S = 4, 30


def responses() -> list[LedgerEntry]:
    """Steps of 2, 4, 6 and 8 responses per second; the last one misses 500 ms."""
    found = []
    for step in range(STEPS):
        for n in range(STEP_S * 2 * (step + 1)):
            began = step * STEP_S + n / (2 * (step + 1))
            first = began + (SLOW_S if step == STEPS - 1 else FAST)
            response = LedgerEntry(
                outcome="finished",
                model="blend",
                of_blend=True,
                turn=1 + n % 6,
                began_s=began,
                ended_s=first + 0.2,
                tokens_s=(first, first + 0.1, first + 0.2),
                component="ab"[n % 4 == 0],
            )
            found.append(response if n % 50 else replace(response, outcome="abandoned"))
    return found


def document(shape: str = "step") -> dict[str, Any]:
    """What Locust's last line would be."""
    ledger = Ledger(Level(0.5), slot_s=STEP_S / run_summary.SLOTS_PER_PART)
    for response in responses():
        ledger.add(response, response.began_s)
    parts = run_summary.parts(ledger, STEPS * STEP_S)
    return {
        "load": {
            "loop": "open",
            "shape": shape,
            "seconds": STEPS * STEP_S,
            "users": None,
            "rate_per_s": 2.0,
            "replay": None,
            "speed": None,
        },
        "level": {
            "first_token_ms": 500.0,
            "between_tokens_ms": None,
            "goodput": run_summary.GOODPUT,
        },
        **run_summary.groups(ledger),
        "errors": {},
        "parts": parts,
        "knee": run_summary.knee(parts),
        "client": [{"process": "local", "cpu": 0.1, "lag_p99_ms": 3.0}],
        "refused": [],
        "missed": ["The level was missed: fewer than 99% of the responses kept it."],
        "people": asdict(load()),
        "seed": 1,
        "load_average": 0.5,
        "machine": {"cpu": "a <machine>", "cores": 2},
        "versions": {"locust": "2.47.0"},
        "command": "locust -f loadtests/chat.py",
    }


def soaked() -> dict[str, Any]:
    """What a soak's last line would be: one process is flat, the other leaks."""
    times_s = [5.0 * n for n in range(100)]
    memories = [
        ProcessMemory("flat", times_s, [500.0] * 100, [600.0] * 100),
        ProcessMemory("leaks", times_s, times_s, times_s),
    ]
    found = [(m, trend(m.times_s, m.anonymous_mib, 0, 500)) for m in memories]
    return result(document(), document(), found)


def test_the_knee_is_where_the_level_was_kept_last() -> None:
    """At six responses per second of eight."""
    knee = document()["knee"]

    assert knee["responses_per_s"] == pytest.approx(6, abs=0.1)
    assert knee["is_bracketed"]


def test_a_browser_reads_the_page_and_needs_nothing_else(tmp_path: Path) -> None:
    """Every plot and table is in one file; nothing is fetched, nothing is run."""
    path = tmp_path / "report.html"
    path.write_text(page(document(), {"a": 0.75, "b": 0.25}))
    read = dom(path)

    for name in ("load", "turns", "shares"):
        assert f'<figure id="{name}">' in read
    assert 'id="memory"' not in read
    for words in (
        "Knee: 6.",
        "turn 2 to 4",
        "component a",
        "a &lt;machine&gt;",
        "level was missed",
    ):
        assert words in read
    assert "<script" not in read
    assert not re.search(r"(src|href)=\"(?!#)", read)
    assert screenshot(path, 1200, 900).stat().st_size > 20_000


def test_a_steady_load_is_drawn_over_time(tmp_path: Path) -> None:
    """Its loads differ by chance alone, so that no knee is spoken of."""
    path = tmp_path / "report.html"
    path.write_text(page(document("steady"), {}))
    read = dom(path)

    assert '<figure id="time">' in read
    assert '<figure id="load">' not in read
    assert "Minutes of the run" in read
    assert "no knee was looked for" in " ".join(read.split())
    assert "Knee:" not in read


def test_a_knee_is_denied_only_where_the_level_was_missed() -> None:
    """Where all responses kept it, there were too few in each step, or none of them misses it."""
    found = document()
    few = [{**part, "responses": 20} for part in found["parts"]]
    slow = [{**part, "goodput": 0.5} for part in found["parts"]]
    short, missed = (
        run_summary.knee_sentence(found | {"parts": parts, "knee": run_summary.knee(parts)})
        for parts in (few, slow)
    )
    fast = run_summary.knee(found["parts"][:2])

    assert short.startswith("No knee can be told: no step had the 30 responses")
    assert missed == "No knee: not even the smallest load kept the level."
    assert "or beyond: no larger load was measured" in run_summary.knee_sentence(
        found | {"knee": fast}
    )


def test_the_terminal_has_units_and_percentiles(capsys: pytest.CaptureFixture[str]) -> None:
    """In the head of the table, above every time."""
    print(run_summary.table(document()))

    assert capsys.readouterr().out.startswith("p50 / p99 in ms")


def test_a_soak_shows_what_grew(tmp_path: Path) -> None:
    """Its processes, with a sentence for each that grew, and the search before it."""
    path = tmp_path / "report.html"
    path.write_text(page(soaked(), {}))
    read = dom(path)

    assert '<figure id="memory">' in read
    assert "leaks grew by" in read
    assert "flat grew by" not in read
    assert "found the knee at 6" in read


def test_ids_of_plots_are_their_own() -> None:
    """Two figures in one page share none."""
    ids = re.findall(r'\bid="([^"]+)"', page(soaked(), {"a": 0.75, "b": 0.25}))

    assert len(ids) == len(set(ids)) > 10


def test_the_command_reads_the_last_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of what was printed; a table, the knee and what was missed on the terminal."""
    source, target = tmp_path / "run.log", tmp_path / "report.html"
    source.write_text(f"Locust's tables\n{json.dumps(document())}\n")

    assert main([str(source), "--html", str(target), "--blend", "demo"]) == 0

    printed = capsys.readouterr().out
    assert "component a" in printed
    assert "Knee: 6." in printed
    assert "The level was missed" in printed
    assert target.read_text().startswith("<!doctype html>")


@pytest.mark.parametrize("text", ["", "no JSON\n", "[]\n", '{"targets": {}}\n', "1\n"])
def test_a_file_that_is_no_result_is_told(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By its name."""
    source = tmp_path / "other.json"
    source.write_text(text)

    assert main([str(source)]) == 2
    assert str(source) in capsys.readouterr().err


def test_weights_are_shares_of_those_that_are_drawn() -> None:
    """Uniform when left out; without those of weight 0."""
    components = [{"id": name, "kind": "simulated"} for name in "abc"]
    given = {"name": "blend", "components": components}
    uneven = given | {"selection": {"weights": {"a": 3, "b": 1, "c": 0}}}

    assert weights(BlendConfig.model_validate(given)) == pytest.approx(dict.fromkeys("abc", 1 / 3))
    assert weights(BlendConfig.model_validate(uneven)) == {"a": 0.75, "b": 0.25}
