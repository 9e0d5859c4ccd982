"""The study of what is fitted to retries, on small journals, and its committed result."""

import json
from pathlib import Path
from typing import Any

from loadtests.studies.reward_fit.__main__ import WORLDS, measure

RESULT = Path(__file__).parents[2] / "loadtests" / "results" / "reward.json"


def test_planted_words_are_found_in_a_small_journal() -> None:
    """1,500 pairs tell less than 20,000; the model stays below what can be known. Seeded."""
    found = measure(WORLDS["words"], retries=1_500, seed=2)

    auc = found["gates"]["auc_within_component"]
    assert found["pairs"] >= 1_500
    assert 0.6 < auc["value"] < found["bayes_auc"]["within"]
    assert found["accepted"], found["gates"]


def test_who_wrote_an_answer_is_no_preference() -> None:
    """Between components the kept answer is known, within one it is not, and nothing is kept."""
    found = measure(WORLDS["component alone"], retries=1_500, seed=3)

    assert found["bayes_auc"]["overall"] > 0.6
    assert found["bayes_auc"]["within"] == 0.5
    assert not found["gates"]["auc_within_component"]["passed"]


def test_the_committed_run_finds_what_was_planted_and_refuses_the_rest() -> None:
    """Of 20,000 pairs, with scores of users whom the model has not seen."""
    worlds: dict[str, Any] = json.loads(RESULT.read_text())["worlds"]

    assert 0.795 < worlds["words"]["bayes_auc"]["within"] < 0.805
    for name, world in worlds.items():
        auc = world["gates"]["auc_within_component"]["value"]
        assert world["pairs"] >= 20_000
        assert world["accepted"] == ("words" in name), name
        if "words" in name:
            assert auc >= 0.75
        else:
            assert 0.48 <= auc <= 0.52, name
        assert abs(world["gates"]["length"]["value"]) < 0.2
