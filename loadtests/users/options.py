"""The settings of a run from the command line or Locust's web UI, checked: frozen values."""

import math
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadtests.users import arrivals
from loadtests.users.arrivals import Arrival
from loadtests.users.load_shapes import SHAPES, LoadShape
from loadtests.users.people import People, load
from loadtests.users.run_summary import SLOTS_PER_PART, Limits
from loadtests.users.tally import Level

# For a run without an end.
_SLOT_S = 10.0


@dataclass(frozen=True)
class LoadTest:
    """One load test. Without `rate` and `replay` its loop is closed, with `users` users.

    `seconds` is infinite if only Ctrl-C ends the run; `rate` is new conversations per second at the
    shape's maximum.
    """

    people: People
    shape: LoadShape
    level: Level
    limits: Limits
    seed: int
    seconds: float
    users: int
    spawn_rate: float
    rate: float
    replay: Path | None
    speed: float

    @property
    def is_open(self) -> bool:
        """Whether conversations begin independently of the answers."""
        return bool(self.rate or self.replay)

    @property
    def slot_s(self) -> float:
        """Seconds that are tallied together: a third of a step of the shape."""
        if math.isinf(self.seconds):
            return _SLOT_S
        return self.seconds / (self.shape.steps * SLOTS_PER_PART)

    def users_at(self, at_s: float) -> int:
        """The number of users of a closed loop at a time of the run."""
        return max(1, round(self.users * self.shape.level(at_s / self.seconds)))

    def arrivals(self, models: Sequence[str]) -> Iterator[Arrival]:
        """The conversations of an open loop, in the order of their times."""
        if self.replay:
            records = arrivals.read(self.replay)
            return arrivals.replayed(records, self.people, self.speed, self.seed, models)
        shape, rate = self.shape.level, self.rate
        return arrivals.poisson(self.people, shape, rate, self.seconds, self.seed, models)

    def load(self) -> dict[str, Any]:
        """The load's description for the report."""
        return {
            "loop": "open" if self.is_open else "closed",
            "shape": "replay" if self.replay else self.shape.name,
            "seconds": None if math.isinf(self.seconds) else self.seconds,
            "users": None if self.is_open else self.users,
            "rate_per_s": self.rate or None,
            "replay": str(self.replay) if self.replay else None,
            "speed": self.speed if self.replay else None,
        }


def add(parser: ArgumentParser) -> None:
    """The options; 0 and an empty text mean no value, because the web UI has no other way."""
    add = parser.add_argument
    add("--people", default="", help="a file of habits (loadtests/users/people.yaml)")
    add("--seed", type=int, default=1, help="of who comes, when, and of what they say")
    add("--shape", choices=list(SHAPES), default="steady", help="how the load varies over the run")
    add("--rate", type=float, default=0.0, help="open loop: new conversations/s at the highest")
    add("--low", type=float, default=0.2, help="diurnal, flash: the lowest load over the highest")
    add("--steps", type=int, default=8, help="of the shape, and points of latency against load")
    add("--replay", default="", help="open loop: a journal's responses, as it exports them")
    add("--speed", type=float, default=1.0, help="of --replay: so many times as fast")
    text = "of 99 in 100 responses, 0: any"
    add("--first-token-ms", type=float, default=0.0, help=f"service level: first tokens {text}")
    text = "the mean time between the tokens " + text
    add("--between-tokens-ms", type=float, default=0.0, help=f"service level: {text}")
    add("--client-cpu", type=float, default=0.9, help="refuse a run whose client took more")
    add("--client-lag-ms", type=float, default=100.0, help="refuse a run whose client was later")


def run(options: Namespace) -> LoadTest:
    """The run that options describe; `lasts_s` is a master's run time, in its workers.

    Raises:
        OSError: a file cannot be read.
        ValueError: a value is impossible, or two of them do not go together.
    """
    replay = Path(options.replay) if options.replay else None
    if options.rate < 0 or options.speed <= 0:
        raise ValueError("--rate must be 0 or more, and --speed more than 0.")
    seconds = options.run_time or getattr(options, "lasts_s", None)
    seconds = seconds or (_length_s(replay, options.speed) if replay else math.inf)
    if options.shape != "steady" and math.isinf(seconds):
        raise ValueError(f"The shape {options.shape} needs an end; give --run-time.")
    return LoadTest(
        people=load(Path(options.people) if options.people else None),
        shape=LoadShape(options.shape, options.low, options.steps),
        level=Level(_seconds(options.first_token_ms), _seconds(options.between_tokens_ms)),
        limits=Limits(options.client_cpu, options.client_lag_ms),
        seed=options.seed,
        seconds=seconds,
        users=options.num_users or 1,
        spawn_rate=options.spawn_rate or 1,
        rate=options.rate,
        replay=replay,
        speed=options.speed,
    )


def _length_s(replay: Path, speed: float) -> float:
    """Until the last recorded response began, and a moment for it to begin here."""
    return arrivals.read(replay)[-1].at_s / speed + 1


def _seconds(milliseconds: float) -> float | None:
    return milliseconds / 1e3 if milliseconds else None
