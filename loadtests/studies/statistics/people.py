"""Simulated users with everything that the journal counts, as a panel would have them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from blended.experiments.checked_responses import CheckedResponses
from blended.experiments.definition import ArmDefinition, Definition
from blended.experiments.enrolment import CAPPED, UNCAPPED
from blended.experiments.moments import Array
from blended.experiments.panel import ExperimentPanel
from blended.experiments.user_days import SAID, SUMS, Ints
from loadtests.studies.population.habits import DAY_S, Activity, Bools, draw
from loadtests.studies.statistics.worlds import (
    DAYS,
    HISTORY_DAYS,
    JOIN_DAYS,
    NO_EFFECTS,
    World,
)

DEFINITION = Definition(
    name="calibration",
    salt="calibration",
    layer="default",
    users=(0, 1),
    eligible="all",
    start=0,
    end=DAYS * DAY_S,
    control="control",
    arms=(ArmDefinition("control", 0.5, {}), ArmDefinition("test", 0.5, {})),
    gpus={},
    session_gap_s=1800,
    day_s=DAY_S,
    simulated=True,
)


@dataclass(frozen=True)
class Days:
    """m user-days: `user` (m,), `day` (m,) since joining, and columns of shape (m,)."""

    user: Ints
    day: Ints
    sums: Mapping[str, Array]

    def totals(self, rows: Bools, users: int) -> dict[str, Array]:
        """Each user's sums over some of the days, shape (users,)."""
        of = self.user[rows]
        return {
            "active_days": np.bincount(of, minlength=users).astype(float),
            **{n: np.bincount(of, v[rows], minlength=users) for n, v in self.sums.items()},
        }


@dataclass(frozen=True)
class People:
    """n simulated users, their days, and what they did before, by user.

    Of r responses: `asked_by` (r,), `asked_on` (r,) in days since joining, and `first_byte_s`.
    """

    arm: Ints
    joined: Ints
    days: Days
    before: Mapping[str, Array]
    asked_by: Ints
    asked_on: Ints
    first_byte_s: Array

    def panel(self, until: int, is_moved: bool = False) -> ExperimentPanel:
        """A journal's data on them before a day, counted from the experiment's first.

        The experiment runs on after that day; or its end `is_moved` to it.
        """
        who, days = self.joined < until, self.days
        rows = self.joined[days.user] + days.day < until
        place = np.where(who, np.cumsum(who) - 1, -1)
        totals = days.totals(rows, len(who)) | {
            f"before_{name}": values for name, values in self.before.items()
        }
        return ExperimentPanel(
            definition=replace(DEFINITION, end=until * DAY_S) if is_moved else DEFINITION,
            end_day=until,
            arm=self.arm[who],
            joined=self.joined[who],
            totals={name: values[who] for name, values in totals.items()},
            user=place[days.user[rows]],
            day=days.day[rows],
            seconds=days.sums["active_s"][rows],
            responses=days.sums["responses"][rows],
            checked=self._checked(until, place),
            planned_end=DEFINITION.end,
        )

    def _checked(self, until: int, place: Ints) -> CheckedResponses:
        seen = self.joined[self.asked_by] + self.asked_on < until
        none = np.zeros(int(seen.sum()))
        found = CheckedResponses(self.asked_by[seen], self.first_byte_s[seen], none + 1, none, none)
        return found.of_users(place)


def people(world: World, rng: np.random.Generator) -> People:
    """Users of two arms who join on the first days."""
    users = world.users
    arm, joined = rng.permutation(users) % 2, rng.integers(0, JOIN_DAYS, users)
    nobody = np.zeros(users, dtype=np.int64)
    before = _days(draw([NO_EFFECTS[0]], nobody, nobody, HISTORY_DAYS, rng), rng)
    history = before.totals(before.day >= 0, users)
    days = _days(_activity(world, arm, joined, rng), rng)
    return People(arm, joined, days, history, *_asked(world, arm, rng))


def _activity(world: World, arm: Ints, joined: Ints, rng: np.random.Generator) -> Activity:
    found = draw(world.effects, arm, joined, DAYS, rng)
    tail = rng.lognormal(-(world.tails**2) / 2, world.tails, world.users)[:, None]
    if world.novelty == 1:
        return Activity(found.active, found.seconds * tail)
    more = tuple(replace(effect, retention=world.novelty) for effect in world.effects)
    others = draw(more, arm, joined, DAYS, rng)
    is_new = (arm == 1)[:, None] & np.isin(np.arange(DAYS), range(1, 5))
    return Activity(
        np.where(is_new, others.active, found.active),
        np.where(is_new, others.seconds, found.seconds) * tail,
    )


def _asked(world: World, arm: Ints, rng: np.random.Generator) -> tuple[Ints, Ints, Array]:
    """Some responses of each user on their first days; users differ in how long they wait."""
    user = np.repeat(np.arange(world.users), 1 + rng.poisson(4, world.users))
    pace = rng.lognormal(0, 0.4, world.users) * np.where(arm == 1, world.slower, 1.0)
    times = pace[user] * rng.lognormal(-1.5, 0.5, len(user))
    return user, rng.integers(0, 10, len(user)), times


def _days(activity: Activity, rng: np.random.Generator) -> Days:
    """The columns of the journal's user-days; users differ in what they do to responses."""
    user, day = np.nonzero(activity.active)
    users, size, seconds = len(activity.active), len(user), activity.seconds[user, day]
    turns = 1 + rng.poisson(seconds / 60)
    retries = rng.binomial(turns, 0.1 * rng.beta(2, 2, users)[user])
    responses = turns + retries
    thumbs = rng.binomial(turns, 0.1)
    columns: dict[str, Any] = {
        "responses": responses,
        "turns": turns,
        "conversations": 1 + rng.binomial(turns, 0.05),
        "active_s": seconds,
        "waited_s": turns * 2.5,
        "prompt_tokens": responses * rng.gamma(4, 50, size),
        "completion_tokens": responses * rng.gamma(9, 10, size),
        "retries": retries,
        "failures": rng.binomial(responses, 0.02),
        "ttft_s": responses * rng.gamma(4, 0.02, size),
        "ttft_responses": responses,
        "repetition": responses * rng.beta(2, 8, size),
        "repetition_responses": responses,
        "engine_s": responses * rng.gamma(4, 0.5, size),
        "thumbs": thumbs,
        "thumbs_up": rng.binomial(thumbs, rng.beta(4, 2, users)[user]),
        "edits": rng.binomial(turns, 0.02),
    }
    assert columns.keys() == {*SUMS, *SAID}, "the journal counts something else"
    for name in CAPPED:
        cap = np.quantile(columns[name], UNCAPPED, method="higher")
        columns[name] = np.minimum(columns[name], cap)
    return Days(user, day, {name: values.astype(float) for name, values in columns.items()})
