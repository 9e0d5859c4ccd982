"""What to do with an arm, from users as an experiment may have them."""

from dataclasses import replace
from typing import Any, get_args

import pytest

from blended.config.experiments import Guardrail
from blended.experiments.analysis import analyse
from blended.experiments.decision import Decision, decisions
from blended.experiments.measures import GUARDRAILS
from tests.experiments.test_page import definition, document, panel


def decision(is_over: bool, slower: float = 1.0, **margins: float) -> Decision:
    """On an arm that is better than control, and so many times as slow."""
    of = definition("a", "b", "c", margins=margins)
    found = panel(of, users=1500)
    found.totals["ttft_s"][found.arm == 2] *= slower
    result = analyse(found, now=of.end + (1 if is_over else -1))
    return next(decided for decided in decisions(result) if decided.arm == "c")


def test_guardrails_of_the_configuration_are_those_of_the_report() -> None:
    """By their names."""
    assert set(get_args(Guardrail)) == GUARDRAILS


def test_an_arm_that_is_better_is_shipped() -> None:
    """With what is better, and the guardrails that are not worse."""
    found = decision(is_over=True)

    assert found.kind == "ship"
    assert found.why.startswith("retention +")


def test_an_arm_that_is_slower_is_not_shipped() -> None:
    """However much better it is."""
    found = decision(is_over=True, slower=1.3)

    assert (found.kind, found.why[:6]) == ("keep", "TTFT +")


@pytest.mark.parametrize(("margin", "kind"), [(0.5, "ship"), (0.3, "wait"), (0.1, "keep")])
def test_a_margin_has_to_be_kept_for_sure(margin: float, kind: str) -> None:
    """30 % slower: clearly within a half, perhaps within 0.3, clearly beyond a tenth."""
    assert decision(is_over=False, slower=1.3, ttft=margin).kind == kind


@pytest.mark.parametrize(("log", "kind"), [(0.3, "ship"), (-0.01, "keep")])
def test_engagement_alone_is_not_shipped_unless_all_users_stay_longer(
    log: float, kind: str
) -> None:
    """An arm that loses its casual users looks more engaging: the time of all users tells."""
    of = definition("a", "b")
    result = analyse(panel(of, users=1500), now=of.end + 1)
    effects = {e.measure: e for e in result.effects}
    unsure = replace(effects["retention"], corrected_p=0.5)
    ratios = {name: effects[name].ratio for name in ("engagement", "time_per_day")}
    of_came, of_all = ratios.values()
    assert of_came
    assert of_all
    longer = replace(effects["engagement"], ratio=replace(of_came, log=0.3), corrected_p=0.01)
    also = replace(effects["time_per_day"], ratio=replace(of_all, log=log))
    (found,) = decisions(replace(result, effects=(unsure, longer, also)))

    assert found.kind == kind
    assert ("time per day of all users is not clearly longer" in found.why) == (kind == "keep")


def test_nothing_shown_is_a_reason_to_wait_and_then_to_keep() -> None:
    """With the lift that would have been seen."""
    of = definition("a", "b")
    found: dict[str, Any] = document(of, users=100)

    assert found["decisions"]["b"]["decision"] == "wait"
    assert "would have been seen with a probability of 80%" in " ".join(found["verdict"])


def test_before_the_days_of_the_verdict_there_is_none() -> None:
    """It says which days these are, and how far the data go."""
    found = document(definition("a", "b"), users=400, days=8)

    assert found["decisions"]["b"]["decision"] == "wait"
    assert (
        "days 15 to 30 after joining, and users have been observed until day 7"
        in found["verdict"][0]
    )
