"""Records of simulated users in an experiment of two arms or more, few for each visit."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from blended.experiments.definition import ArmDefinition, Definition
from blended.journal.records import ExperimentRecord, Record, ResponseRecord
from loadtests.studies.population.habits import DAY_S, ArmEffect, Ints, draw

FIRST_DAY = 20_000
START = float(FIRST_DAY * DAY_S)
NAME = "trap"

_HOUR_S = 3600.0
_ANSWER_S, _BEGINS = 2.5, 0.16


@dataclass(frozen=True)
class Arm:
    """What an arm does to its users: on days 1 to `novelty_days` it multiplies their coming by
    `novelty`, on every day their messages by `talk`; each answer takes `slower_s` more, and a part
    of the answers fails after `fails_after_s`.

    `stays_up` multiplies the messages of sessions that begin after 22:00.
    """

    name: str
    retention: float = 1.0
    novelty: float = 1.0
    novelty_days: int = 0
    talk: float = 1.0
    slower_s: float = 0.0
    failures: float = 0.0
    fails_after_s: float = 0.1
    stays_up: float = 1.0


@dataclass(frozen=True)
class World:
    """An experiment of `days` on users who join on its first days; the control is the first arm.

    A visit has `messages` on average, which are written for `think_s` on average; a part `late` of
    the visits begins between 22:00 and midnight, the others between 2:00 and 20:00.
    """

    arms: tuple[Arm, ...]
    users: int = 4000
    days: int = 35
    join_days: int = 7
    messages: float = 2.0
    think_s: float = 40.0
    late: float = 0.0
    seed: int = 1

    def definition(self, days: int | None = None) -> Definition:
        """The experiment, or one that lasts so many days."""
        share = 1 / len(self.arms)
        return Definition(
            name=NAME,
            salt=NAME,
            layer="default",
            users=(0, 1),
            eligible="all",
            start=START,
            end=START + (days or self.days) * DAY_S,
            control=self.arms[0].name,
            arms=tuple(ArmDefinition(arm.name, share, {"one": 1.0}) for arm in self.arms),
            gpus={},
            session_gap_s=1800.0,
            day_s=float(DAY_S),
            simulated=True,
        )

    def records(self) -> list[ResponseRecord]:
        """All responses, by user and time."""
        rng = np.random.default_rng(self.seed)
        arm = rng.permutation(self.users) % len(self.arms)
        joined = rng.integers(0, self.join_days, self.users)
        plain = [ArmEffect(of.name, retention=of.retention) for of in self.arms]
        active = draw(plain, arm, joined, self.days, rng).active
        active |= self._novelty(arm, joined, active.shape, rng) & (joined[:, None] < self.days)
        active &= joined[:, None] + np.arange(self.days) < self.days
        user, since = np.nonzero(active)
        visits = _Visits(user, joined[user] + since, arm[user])
        return list(self._responses(visits, rng))

    def _novelty(
        self, arm: Ints, joined: Ints, shape: tuple[int, ...], rng: np.random.Generator
    ) -> Any:
        """Further days on which users of arms with a novelty come."""
        extra = np.array([of.novelty - 1 for of in self.arms])[arm][:, None]
        until = np.array([of.novelty_days for of in self.arms])[arm][:, None]
        day = np.arange(shape[1])
        chance = np.where((day >= 1) & (day <= until), extra * 0.3 * np.maximum(day, 1) ** -0.35, 0)
        return rng.random(shape) < chance

    def _responses(self, visits: "_Visits", rng: np.random.Generator) -> Iterator[ResponseRecord]:
        size = len(visits.user)
        zeal = rng.lognormal(-0.125, 0.5, self.users)
        is_late = rng.random(size) < self.late
        begin_s = np.where(is_late, rng.uniform(22, 24, size), rng.uniform(2, 20, size)) * _HOUR_S
        talk = np.array([of.talk for of in self.arms])[visits.arm]
        talk = talk * np.where(is_late, np.array([of.stays_up for of in self.arms])[visits.arm], 1)
        count = 1 + rng.poisson(np.maximum(self.messages * talk * zeal[visits.user] - 1, 0.2))
        rows = zip(*(column.tolist() for column in (*visits, begin_s, count)), strict=True)
        for number, (user, day, arm, at_s, messages) in enumerate(rows):
            yield from self._visit(
                _Visit(number, user, arm, START + day * DAY_S + at_s), messages, rng
            )

    def _visit(
        self, visit: "_Visit", messages: int, rng: np.random.Generator
    ) -> Iterator[ResponseRecord]:
        arm, at = self.arms[visit.arm], visit.began_at
        thinks = rng.exponential(self.think_s, messages).tolist()
        fails = (rng.random(messages) < arm.failures).tolist()
        answers = rng.lognormal(0.0, 0.4, messages).tolist()
        rows = zip(thinks, fails, answers, strict=True)
        for turn, (think_s, is_failed, pace) in enumerate(rows, 1):
            lasts_s = arm.fails_after_s if is_failed else _ANSWER_S * pace + arm.slower_s
            yield _response(visit, arm, turn, at, lasts_s, is_failed)
            at += lasts_s + think_s


class _Visits(NamedTuple):
    user: Ints
    day: Ints
    arm: Ints


class _Visit(NamedTuple):
    number: int
    user: int
    arm: int
    began_at: float


def experiment_records(
    versions: Sequence[tuple[Definition, float]],
) -> list[Record]:
    """The versions of an experiment's definition, and when each was first seen."""
    return [ExperimentRecord(d.name, d.version, at, d.to_json()) for d, at in versions]


def _response(
    visit: _Visit, arm: Arm, turn: int, at: float, lasts_s: float, is_failed: bool
) -> ResponseRecord:
    conversation = f"{visit.number:032x}"
    unique = f"{visit.number:x}-{turn}"
    return ResponseRecord(
        response_id=f"chatcmpl-{unique}",
        request_id=unique,
        started_at=round(at, 3),
        key_name="default",
        user=user_name(visit.user),
        conversation=conversation,
        turn=turn,
        lineage=f"{conversation}-{turn}",
        parent=f"{conversation}-{turn - 1}" if turn > 1 else None,
        model=NAME,
        experiment=NAME,
        arm=arm.name,
        distribution="d1",
        probabilities={"one": 1.0},
        uniform=0.5,
        drawn="one",
        component=None if is_failed else "one",
        propensity=None if is_failed else 1.0,
        failures=[],
        replica=None,
        stream=True,
        prompt_tokens=round(40 * lasts_s) + 50 * turn,
        cached_tokens=0,
        completion_tokens=round(30 * lasts_s),
        ttft_s=None if is_failed else _BEGINS * (lasts_s - arm.slower_s) + arm.slower_s,
        itl_mean_s=0.02,
        itl_p99_s=0.04,
        e2e_s=lasts_s,
        router_s=0.002,
        finish_reason="stop",
        state="failed_before_first_byte" if is_failed else "finished",
    )


def user_name(number: int) -> str:
    """A pseudonym that tells nothing of the arm."""
    return f"{(number * 2654435761) % 2**32:08x}-{number}"
