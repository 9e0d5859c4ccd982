"""From records in a database of each kind to users' days and arms."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

from blended.errors import ConfigError, NotEnoughData
from blended.experiments import stored_experiments
from blended.experiments.analysis import analyse
from blended.experiments.definition import ArmDefinition, Definition
from blended.experiments.enrolment import read
from blended.experiments.measures import engagement, retention
from blended.experiments.moments import Contrast, Moments
from blended.experiments.panel import ExperimentPanel
from blended.journal.records import ExperimentRecord, ResponseRecord
from blended.journal.store import Store
from tests.journal.samples import response

DAY_S = 86_400.0
FIRST = 20_000
START = FIRST * DAY_S


def definition(**fields: Any) -> Definition:
    values: dict[str, Any] = {
        "name": "test",
        "salt": "test",
        "layer": "default",
        "users": (0, 1),
        "eligible": "all",
        "start": START,
        "end": START + 60 * DAY_S,
        "control": "a",
        "arms": (ArmDefinition("a", 0.5, {"x": 1.0}), ArmDefinition("b", 0.5, {"y": 1.0})),
        "gpus": {"x": 2, "y": 0},
        "session_gap_s": 1800.0,
        "day_s": DAY_S,
        "simulated": False,
    }
    return Definition(**values | fields)


def visits(
    user: str, arm: str, days: Iterable[int], seconds: float = 10.0, **fields: Any
) -> list[ResponseRecord]:
    """Two responses on each of these days since the experiment's first: the user's next request
    comes so many seconds after the end of the first response, which takes 10 s."""
    return [
        response(
            started_at=START + day * DAY_S + 3600 + sum(map(ord, user)) / 1000 + later_s,
            response_id=f"{user}-{day}-{later_s}",
            request_id=f"{user}-{day}-{later_s}",
            user=user,
            experiment="test" if day >= 0 else None,
            arm=arm if day >= 0 else None,
            component="x",
            e2e_s=10.0,
            router_s=0.0,
            **fields,
        )
        for day in days
        for later_s in (0, 10.0 + seconds)
    ]


def panel(store: Store, days: float, **fields: Any) -> ExperimentPanel:
    """What is known so many days after the start."""
    return read(store, definition(**fields), START + days * DAY_S, lambda _: None)


def value(moments: Moments, contrast: Contrast) -> float:
    return math.exp(moments.value(contrast))


def test_users_who_cannot_have_come_back_yet_are_in_no_denominator(store: Store) -> None:
    """Thirty-day retention with late joiners: who joined 10 days ago is neither back nor away.

    Others counted them as away (growthbook/growthbook#4353).
    """
    store.add(
        [
            *visits("early-1", "a", [0, 30]),
            *visits("early-2", "a", [0]),
            *visits("late-1", "a", [25]),
            *visits("late-2", "a", [25, 26]),
        ]
    )
    (control, _) = panel(store, 35).moments()

    assert control.n == 4
    assert value(control, retention(30)) == pytest.approx(1 / 2)
    assert value(control, retention(1)) == pytest.approx(1 / 4)


def test_a_day_that_is_not_over_is_left_out(store: Store) -> None:
    """At noon of day 3 day 2 is the last: nobody has had the chance to come on all of day 3."""
    store.add([*visits("u", "a", [0, 2, 3]), *visits("v", "b", [1, 2])])
    found = panel(store, 3.5)

    control, _ = found.moments()
    assert found.days == 2
    assert value(control, retention(2)) == 1
    assert [arm.total("observed_days") for arm in found.moments()] == [3, 2]
    assert list(found.totals["active_days"]) == [2, 2]


def test_engagement_is_the_time_of_those_who_came(store: Store) -> None:
    """Users who did not come on a day are in neither of its sums."""
    days = [visits("u", "a", [0, 1], 20), visits("v", "a", [0, 1], 40), visits("w", "a", [0], 99)]
    store.add([record for visit in days for record in visit])
    (control, _) = panel(store, 3).moments()

    assert value(control, engagement(1)) == pytest.approx(30)


def test_users_met_in_two_arms_or_in_none_of_these_are_left_out(store: Store) -> None:
    """They are counted, so that the report can say so."""
    moved = [*visits("m", "a", [0]), *visits("m", "b", [1])]
    gone = visits("g", "an-arm-of-before", [0])
    store.add([*moved, *gone, *visits("u", "a", [0]), *visits("v", "b", [0])])
    found = panel(store, 3)

    assert (found.counts(), found.left_out.crossed) == ([1, 1], 2)


def test_who_came_before_the_start_is_not_new(store: Store) -> None:
    """An experiment for new users leaves them out; one for all uses what they did before."""
    before = visits("old", "a", [-3, -2])
    store.add([*before, *visits("old", "a", [0]), *visits("new", "b", [0])])
    for_new, for_all = panel(store, 2, eligible="new"), panel(store, 2)

    assert (for_new.counts(), for_new.left_out.known) == ([0, 1], 1)
    assert (for_all.counts(), for_all.left_out.known) == ([1, 1], 0)
    assert sorted(for_all.totals["before_active_days"]) == [0, 2]


def test_only_the_experiments_own_records_count(store: Store) -> None:
    """Others' users, no experiment's, and what came after the end."""
    other = response(1, user="o", experiment="other", arm="a", started_at=START + 3600)
    none = response(2, user="n", started_at=START + 3600)
    store.add([other, none, *visits("u", "a", [0, 1, 2, 5]), *visits("v", "b", [0])])
    found = panel(store, 30, end=START + 3 * DAY_S)

    assert found.counts() == [1, 1]
    assert found.end_day == FIRST + 3
    assert max(found.day) == 2


def test_days_may_be_shorter_in_a_rehearsal(store: Store) -> None:
    """A day of 20 s: the same records lie on other days, in sessions that end after 10 s."""
    records = [
        response(i, started_at=START + 20 * i + 5, user="u", experiment="test", arm="a")
        for i in range(4)
    ]
    store.add([*records, *visits("v", "b", [0])])
    found = read(store, definition(day_s=20.0, session_gap_s=10.0), START + 85, lambda _: None)

    assert found.days == 3
    assert value(found.moments()[0], retention(3)) == 1


def test_engine_seconds_count_gpus(store: Store) -> None:
    """Component x has two GPUs; what has none counts as one engine."""
    store.add([*visits("u", "a", [0], 10)])
    found = panel(store, 2)

    assert list(found.totals["engine_s"]) == [40]


def test_progress_goes_from_nothing_to_all(store: Store) -> None:
    """Weeks at a time."""
    told = list[float]()
    store.add(visits("u", "a", [0, 15]))
    read(store, definition(), START + 30 * DAY_S, told.append)

    assert told == sorted(told)
    assert len(told) == 5
    assert told[-1] == 1


def test_an_experiment_is_known_by_its_last_definition(store: Store) -> None:
    """What may change makes no note; arms that changed do."""
    grown = definition(users=(0.0, 1.0), end=START + 90 * DAY_S)
    old = definition(arms=(ArmDefinition("a", 0.5, {}), ArmDefinition("c", 0.5, {})))
    for version, at in ((old, START), (definition(), START + 10), (grown, START + 20)):
        store.add([ExperimentRecord("test", version.version, at, version.to_json())])
    known = stored_experiments.find(store, "test")

    assert known.definition == grown
    assert known.planned_end == old.end
    assert len(known.notes) == 2
    assert "Another version of this experiment" in known.notes[0]
    assert "Its end was moved" in known.notes[1]


def test_an_unknown_experiment_is_named_with_those_there_are(store: Store) -> None:
    """Whoever mistypes a name sees the right one."""
    store.add([ExperimentRecord("test", "v", 1.0, definition().to_json())])

    with pytest.raises(ConfigError, match=r"no experiment 'tset'; it knows: test\."):
        stored_experiments.find(store, "tset")


def test_draws_are_counted_by_arm_and_component(store: Store) -> None:
    """What was drawn first, and who answered in its place."""
    drawn = visits("u", "b", [0, 1, 2])[::2]
    store.add(
        [
            response(**{**vars(r), "drawn": "y", "component": c})
            for r, c in zip(drawn, ("y", "x", "y"), strict=True)
        ]
    )
    found = stored_experiments.realised(store, definition(), START + 10 * DAY_S)

    assert (found["b"]["y"].drawn, found["b"]["y"].answered) == (3, 2)
    assert found["a"]["x"].drawn == 0


def test_too_few_users_are_said_with_their_number(store: Store) -> None:
    """Never a zero with a p value of 1."""
    store.add([*visits("u", "a", [0]), *visits("v", "b", [0])])

    with pytest.raises(NotEnoughData, match=r"a 1, b 1 users .* each needs 20"):
        analyse(panel(store, 3), START + 3 * DAY_S)


def test_too_few_days_leave_the_rest_of_the_result(store: Store) -> None:
    """After two days there are curves and measures, but no lines."""
    rng = np.random.default_rng(1)
    for number in range(200):
        days = [0, *(d for d in (1, 2) if rng.random() < 0.6)]
        store.add(visits(f"user-{number}", "ab"[number % 2], days))
    result = analyse(panel(store, 3), START + 3 * DAY_S)

    assert result.days == 2
    assert result.lines == {"b": {}}
    assert any("needs 3 days" in sentence for sentence in result.missing)
    assert "active_days" in {effect.measure for effect in result.effects}


def test_a_sample_ratio_mismatch_withholds_the_comparison(store: Store) -> None:
    """60 users against 140 where halves were meant: curves stay, comparisons go."""
    for number in range(200):
        store.add(visits(f"user-{number}", "a" if number < 60 else "b", [0, 1, 2, 3]))
    result = analyse(panel(store, 5), START + 5 * DAY_S)

    assert result.is_withheld
    assert result.quality.mismatch_p < 1e-6
    assert (result.effects, result.lines, result.ratios) == ((), {}, {})
    assert result.curves["retention"]["a"]
