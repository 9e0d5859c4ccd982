"""Experiments that mislead: each trap is laid in a journal, and the report falls into none.

The whole of it, at full size, is `python -m loadtests.studies.pitfalls --save`; what that saw is in
loadtests/results/pitfalls.json and asserted here too.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from blended.experiments.definition import ArmDefinition
from blended.journal.records import ResponseRecord
from loadtests.studies.pitfalls import SAVED
from loadtests.studies.pitfalls.cases import BETTER, CASES, PLAIN, by_name
from loadtests.studies.pitfalls.journals import report
from loadtests.studies.pitfalls.world import START, Arm, World, experiment_records
from loadtests.studies.population.habits import DAY_S


def smaller(name: str, tmp_path: Path, users: int, **changes: Any) -> dict[str, Any]:
    """The report on a case with fewer users."""
    case = by_name(name)
    case = replace(case, world=replace(case.world, users=users, **changes))
    return report(case.records(), tmp_path, case.end)


def test_every_trap_is_seen_or_does_no_harm() -> None:
    """The committed run: the right decision on every case, and on the same one without its trap."""
    saved = {case["case"]: case for case in json.loads(SAVED.read_text())["cases"]}

    assert set(saved) == {case.name for case in CASES}
    for case in CASES:
        assert saved[case.name]["decision"] in case.expected, case.name
        assert saved[case.name]["before"]
        assert saved[case.name]["without_the_trap"] in ("keep", "ship")


def test_an_arm_to_which_nobody_comes_back_is_worse(tmp_path: Path) -> None:
    """Nobody of 200 in the arm: a difference in points, with an interval, and no logarithm."""
    found = smaller("an arm to", tmp_path, 400)
    effect = found["effects"]["test"]["retention"]

    assert found["decisions"]["test"]["decision"] == "keep"
    assert "came back less often" in found["verdict"][0]
    assert effect["lift"] == pytest.approx(-1)
    assert effect["low"] is None
    assert effect["difference"]["high"] < -0.05


def test_failures_in_one_arm_alone_are_said(tmp_path: Path) -> None:
    """30 % against none: the guardrail has no ratio and yet decides; TTFT counts the waiting."""
    found = smaller("30 % failures", tmp_path, 300)
    effects = found["effects"]["test"]

    assert found["decisions"]["test"]["decision"] == "keep"
    assert "failed responses" in found["decisions"]["test"]["why"]
    assert effects["failures"]["difference"]["low"] > 0.2
    assert effects["ttft"]["lift"] > 1


def test_waiting_is_no_engagement(tmp_path: Path) -> None:
    """10 s more per response, and the same behaviour: TTFT decides, engagement does not rise."""
    found = smaller("10 s more", tmp_path, 500)

    assert "TTFT" in found["decisions"]["test"]["why"]
    assert found["effects"]["test"]["time_per_day"]["low"] < 0


@pytest.mark.parametrize(
    ("name", "users", "cause"),
    [
        ("5 % of the records with the other arm", 300, "were met in more than one arm"),
        ("5 % of the records of one arm", 600, "Records of one arm are lost"),
        ("10 % of the records", 300, "Records are doubled"),
        ("three days of one arm", 1200, "'test' has less than half of the visitors"),
    ],
)
def test_broken_records_withhold_the_verdict(
    name: str, users: int, cause: str, tmp_path: Path
) -> None:
    """With the cause, and without any comparison of arms."""
    found = smaller(name, tmp_path, users)

    assert found["decisions"]["test"]["decision"] == "broken"
    assert cause in found["verdict"][0]
    assert not found["effects"]


def of_records(world: World, records: list[ResponseRecord], folder: Path) -> dict[str, Any]:
    """The report on records that a world's users have left."""
    versions = experiment_records([(world.definition(), START)])
    return report([*versions, *records], folder, world.definition().end)


def test_records_of_one_arm_that_stop_withhold_the_verdict(tmp_path: Path) -> None:
    """From day 20 to the end; users who stay away would not all do so on one day."""
    world = World(PLAIN, 1000)
    until = START + 20 * DAY_S
    kept = [r for r in world.records() if r.arm == "control" or r.started_at < until]
    found = of_records(world, kept, tmp_path)

    assert found["decisions"]["test"]["decision"] == "broken"
    assert "'test' has less than half" in found["verdict"][0]
    assert "on 2024-10-24" in found["verdict"][0]


def test_a_few_of_all_users_may_be_many_of_a_small_arm(tmp_path: Path) -> None:
    """Eight of 2,105 have a record in both arms: 0.4 % of all, and 7.6 % of an arm of 5 %."""
    world = World(PLAIN, 4000, days=12, join_days=3, messages=1.0)
    records = world.records()
    small = set(sorted({r.user or "" for r in records if r.arm == "test"})[:105])
    records = [r for r in records if r.arm == "control" or r.user in small]
    wrong = sorted(small)[:8]
    extra = [
        replace(r, arm="control", response_id=f"{r.response_id}-2", request_id=f"{r.request_id}-2")
        for r in {r.user or "": r for r in records if r.user in wrong}.values()
    ]
    arms = (ArmDefinition("control", 0.95, {"one": 1.0}), ArmDefinition("test", 0.05, {"one": 1.0}))
    of = replace(world.definition(), arms=arms)
    found = report([*experiment_records([(of, START)]), *records, *extra], tmp_path, of.end)

    assert found["quality"]["crossed"] < 0.01
    assert found["srm"]["p"] > 0.001
    assert "8 of the 105 users of 'test' (7.6%) were met in another arm" in found["verdict"][0]


def test_clients_that_send_only_the_last_messages_lose_no_records(tmp_path: Path) -> None:
    """Longer conversations of one arm then have more turns that continue nothing that is known."""
    world = World((Arm("control"), Arm("test", talk=1.5)), 600, days=20, messages=4.0)
    cut = [
        replace(r, lineage=f"cut-{r.lineage}", parent=f"shorter-{r.parent}") if r.turn > 4 else r
        for r in world.records()
    ]

    assert of_records(world, cut, tmp_path)["decisions"]["test"]["decision"] != "broken"


def test_records_that_all_arms_lose_are_named(tmp_path: Path) -> None:
    """Arms are as alike as before; the sizes of effects are not what they were."""
    world = World(BETTER, 400, days=20)
    kept = [r for n, r in enumerate(world.records()) if n % 4]
    found = of_records(world, kept, tmp_path)

    assert not found["withheld"]
    assert "Records of all arms are lost" in " ".join(found["notes"])


def test_a_day_without_records_counts_for_nobody(tmp_path: Path) -> None:
    """It is named, and the days after it count as they did."""
    found = smaller("no record of day 4", tmp_path, 800)

    assert len(found["quality"]["gaps"]) == 1
    assert found["window"]["seen"] == 30
    assert "No arm has any record on 2024-10-08" in " ".join(found["notes"])


def test_a_moved_end_keeps_the_intervals_that_are_always_valid(tmp_path: Path) -> None:
    """Whoever brings the end forward has looked before; without that there is one look."""
    case = replace(by_name("the end"), world=replace(by_name("the end").world, users=300))
    moved = report(case.records(), tmp_path, case.end)
    (tmp_path / "sound").mkdir()
    sound = report(case.sound_records(), tmp_path / "sound", case.world.definition().end)

    assert (moved["interval"], sound["interval"]) == ("always valid", "fixed horizon")
    assert moved["planned_end"] == sound["end"]
    assert "did not end as planned" in " ".join(moved["notes"])


def test_programs_are_left_out(tmp_path: Path) -> None:
    """Twenty that never sleep, in one arm: counted, named, and in no average."""
    found = smaller("twenty programs", tmp_path, 300, days=8, join_days=2)

    assert found["left_out"]["around_the_clock"] == {"control": 0, "test": 20}
    assert found["arms"]["test"]["users"] == 150
    assert "20 in 'test'" in " ".join(found["notes"])
    assert found["effects"]["test"]["time_per_day"]["lift"] < 1


def test_a_bad_arm_does_not_blank_a_good_one(tmp_path: Path) -> None:
    """Days are known by pair of arms."""
    found = smaller("a bad arm", tmp_path, 1500)

    assert found["decisions"]["bad"]["decision"] == "keep"
    assert found["effects"]["test"]["retention"]["lift"] > 0.2
    assert found["fit"]["test"]["retention"]["last"] > 20


def test_lines_that_bend_are_withheld(tmp_path: Path) -> None:
    """A novelty of a few days: the verdict sees none on days 15 to 30, and the line is not shown.

    Twice the size of the effect on a fifth of the users, so that the journal is small.
    """
    case = by_name("novelty")
    control, test = case.world.arms
    arms = (control, replace(test, novelty=1.9))
    world = replace(case.world, arms=arms, users=4000, days=31, join_days=1, messages=1.0)
    found = report(replace(case, world=world).records(), tmp_path, world.definition().end)

    assert found["decisions"]["test"]["decision"] == "keep"
    assert not found["fit"]["test"]["retention"]["fits"]
    assert "delta_zeta" not in found["paper"]["test"]
    assert "does not fit" in " ".join(found["missing"])
