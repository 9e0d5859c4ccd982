"""The traps: each a world, the trap laid in its records, and the truth about its arms."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from blended.journal.records import Record, ResponseRecord
from loadtests.studies.pitfalls.world import START, Arm, World, experiment_records, user_name
from loadtests.studies.population.habits import DAY_S

Records = list[ResponseRecord]
Trap = Callable[[Records], Records]

PLAIN = (Arm("control"), Arm("test"))
BETTER = (Arm("control"), Arm("test", retention=1.2))


@dataclass(frozen=True)
class Case:
    """A trap and its truth; `sound` is the same experiment without it.

    `expected` are the decisions that are right on the arm 'test'. The report is made `looked_on`
    day, and the end of the experiment was `moved_to` a day, if those are given.
    """

    name: str
    truth: str
    world: World
    expected: tuple[str, ...]
    trap: Trap | None = None
    sound: World | None = None
    moved_to: int | None = None

    def records(self) -> list[Record]:
        """Everything that the journal holds."""
        found = self.world.records()
        return [*self._versions(), *(self.trap(found) if self.trap else found)]

    def sound_records(self) -> list[Record]:
        """The same without the trap."""
        world = self.sound or self.world
        return [*experiment_records([(world.definition(), START)]), *world.records()]

    @property
    def end(self) -> float:
        """When the experiment ended."""
        return START + (self.moved_to or self.world.days) * DAY_S

    def _versions(self) -> list[Record]:
        versions = [(self.world.definition(), START)]
        if self.moved_to:
            versions.append((self.world.definition(self.moved_to), START + 5 * DAY_S))
        return experiment_records(versions)


def _crossed(records: Records) -> Records:
    """Every twentieth record gets the other arm."""
    other = {"control": "test", "test": "control"}
    rng = np.random.default_rng(2)
    is_wrong = (rng.random(len(records)) < 0.05).tolist()
    return [
        replace(r, arm=other[r.arm or ""]) if wrong else r
        for r, wrong in zip(records, is_wrong, strict=True)
    ]


def _lost(part: float, records: Records) -> Records:
    """A part of the records of 'test' is not written."""
    is_lost = (np.random.default_rng(3).random(len(records)) < part).tolist()
    return [r for r, lost in zip(records, is_lost, strict=True) if r.arm != "test" or not lost]


def _doubled(records: Records) -> Records:
    """A tenth of the records of 'test' is written twice, under another id."""
    is_doubled = (np.random.default_rng(4).random(len(records)) < 0.1).tolist()
    again = [
        replace(r, response_id=f"{r.response_id}-again", started_at=r.started_at + 0.005)
        for r, doubled in zip(records, is_doubled, strict=True)
        if doubled and r.arm == "test"
    ]
    return records + again


def _without_days(days: Sequence[int], arm: str | None, records: Records) -> Records:
    """Some days of an arm, or of all, are not written."""
    return [r for r in records if _day(r) not in days or arm not in (None, r.arm)]


def _day(record: ResponseRecord) -> int:
    return int((record.started_at - START) // DAY_S)


def _with_bots(records: Records) -> Records:
    """Twenty programs of 'test' ask every ten minutes, day and night."""
    one = next(r for r in records if r.arm == "test")
    return records + [
        replace(
            one,
            response_id=f"{one.response_id}-bot-{bot}-{number}",
            request_id=f"bot-{bot}-{number}",
            user=user_name(10_000_000 + bot),
            conversation=f"bot-{bot}-{number}",
            lineage=f"bot-{bot}-{number}",
            parent=None,
            turn=1,
            started_at=START + bot * 7 + number * 600.0,
        )
        for bot in range(20)
        for number in range(35 * 144 - 1)
    ]


def _without_casual(records: Records) -> Records:
    """Users of 'test' who talk little on their first day never come again."""
    first: dict[str, int] = {}
    talked: dict[str, int] = {}
    for r in records:
        first.setdefault(r.user or "", _day(r))
        talked[r.user or ""] = talked.get(r.user or "", 0) + (_day(r) == first[r.user or ""])
    return [
        r
        for r in records
        if r.arm != "test" or talked[r.user or ""] > 1 or _day(r) == first[r.user or ""]
    ]


CASES = (
    Case(
        "novelty: +40 % on days 1 to 4, nothing after",
        "0 on days 15 to 30",
        World((Arm("control"), Arm("test", novelty=1.4, novelty_days=4)), 20_000, messages=1.2),
        ("keep",),
    ),
    Case(
        "an arm to which nobody comes back",
        "-100 %",
        World((Arm("control"), Arm("test", retention=1e-9))),
        ("keep",),
        sound=World(PLAIN),
    ),
    Case(
        "a bad arm beside a good one",
        "'test' +50 %, 'bad' -94 %",
        World((Arm("control"), Arm("test", retention=1.5), Arm("bad", retention=0.06)), 6000),
        ("ship",),
    ),
    Case(
        "30 % failures in one arm, none in control",
        "+30 points of failures",
        World((Arm("control"), Arm("test", failures=0.3, fails_after_s=10.0))),
        ("keep",),
        sound=World(PLAIN),
    ),
    Case(
        "evening sessions 1.5 times as long",
        "0 for retention",
        World((Arm("control"), Arm("test", stays_up=1.5)), 6000, 20, 5, 10.0, 150.0, late=0.5),
        ("keep", "ship"),
        sound=World(PLAIN, 6000, 20, 5, 10.0, 150.0, late=0.5),
    ),
    Case(
        "10 s more per response, the same behaviour",
        "0 for engagement, TTFT +10 s",
        World((Arm("control"), Arm("test", slower_s=10.0)), messages=4.0),
        ("keep",),
        sound=World(PLAIN, messages=4.0),
    ),
    Case(
        "5 % of the records with the other arm",
        "records are wrong",
        World(BETTER),
        ("broken",),
        _crossed,
    ),
    Case(
        "the end brought forward to day 20",
        "0; one look was not planned",
        World(PLAIN, 1500),
        ("keep",),
        moved_to=20,
    ),
    Case(
        "no record of day 4, of 35",
        "+20 %",
        World(BETTER, 6000),
        ("ship",),
        partial(_without_days, [4], None),
    ),
    Case(
        "three days of one arm are lost",
        "0; records are lost",
        World(PLAIN, 8000),
        ("broken",),
        partial(_without_days, [18, 19, 20], "test"),
    ),
    Case(
        "5 % of the records of one arm are lost",
        "0; records are lost",
        World(PLAIN),
        ("broken",),
        partial(_lost, 0.05),
    ),
    Case(
        "30 % of the records of one arm are lost",
        "0; records are lost",
        World(PLAIN),
        ("broken",),
        partial(_lost, 0.3),
    ),
    Case(
        "10 % of the records of one arm are doubled",
        "0; records are doubled",
        World(PLAIN),
        ("broken",),
        _doubled,
    ),
    Case(
        "an arm loses its casual users",
        "retention falls, nobody talks more",
        World(PLAIN),
        ("keep",),
        _without_casual,
    ),
    Case(
        "twenty programs around the clock in one arm",
        "0",
        World(PLAIN, 2000),
        ("keep",),
        _with_bots,
    ),
)


def by_name(name: str) -> Case:
    """The case whose name begins so."""
    (found,) = (case for case in CASES if case.name.startswith(name))
    return found
