"""Compares ways to scale on one day: python -m loadtests.studies.autoscaling simulated|real

`simulated` is a whole day in simulated time: Serve's own autoscaling with the real policies
decides, and replicas and their responses are simulated. `real` is the part of the day with the
change and the crowd, on real Ray Serves side by side whose replicas are simulated components.
Hours, responses and Ray's delays are ten times faster there. The last line is JSON, with every
figure; `--save` writes it to a file, and a picture beside it.
"""

import argparse
import asyncio
import json
import logging
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import rich

from blended.config import Simulation
from cluster.capacity.queueing import ServiceLevel
from loadtests.harness.processes import Unavailable
from loadtests.harness.provenance import made_by
from loadtests.harness.targets import Place
from loadtests.studies.autoscaling import real, report, simulated
from loadtests.studies.autoscaling.day import HOUR_S, Day
from loadtests.studies.autoscaling.outcome import DayOutcome
from loadtests.studies.autoscaling.setting import Contender, Setting
from loadtests.studies.autoscaling.simulated import Trouble

_BEFORE, _AFTER = {"a": 3, "b": 2, "c": 1}, {"a": 1, "b": 2, "c": 3}
BY_RATE = Contender("by-rate", "by the expected rate", is_aware=True)
AS_PLANNED = Contender("as-planned", "Ray's, as planned", is_aware=False)
ON_PAPER = (
    BY_RATE,
    Contender("by-rate-999", "by the expected rate, 99.9 %", is_aware=True, goodput=0.999),
    AS_PLANNED,
    Contender("ray-90", "Ray's, target 90 %, up at once", False, target=0.9, upscale_delay_s=0),
    Contender(
        "ray-70",
        "Ray's, target 70 %, up at once, down after 300 s",
        is_aware=False,
        target=0.7,
        upscale_delay_s=0,
        downscale_delay_s=300,
    ),
)
TROUBLES = {
    "c is down from 18:00 to 18:20": Trouble("c", (18 * HOUR_S, 18 * HOUR_S + 1200)),
    "no word of rates from 14:20 to 15:20": Trouble(
        silent=(14 * HOUR_S + 1200, 15 * HOUR_S + 1200)
    ),
}
# An engine that runs 30 responses at once, of 400 tokens in 6 to 17 seconds.
WHOLE_DAY = Setting(
    Day(12, _BEFORE, _AFTER),
    Simulation(ttft_ms=200, ttft_ms_per_running=20, itl_ms=15, itl_ms_per_running=0.8, tokens=400),
    ServiceLevel(ttft_s=1.5, itl_s=0.04),
)
STARTUP_S = 60.0
# An engine that runs 8 responses at once, of 12 tokens in half a second to two. Its replicas start
# in three to five seconds, which are 30 to 50 seconds of this day.
FASTER = 10.0
WORKING_HOURS = Setting(
    Day(12, _BEFORE, _AFTER, begin_h=10, end_h=15.5, hour_s=HOUR_S / FASTER),
    Simulation(
        ttft_ms=100,
        ttft_ms_per_running=20,
        itl_ms=30,
        itl_ms_per_running=12,
        tokens=12,
        jitter=0.1,
        concurrency=8,
    ),
    ServiceLevel(ttft_s=0.6, itl_s=0.15),
    rate_window_s=60 / FASTER,
)


def simulated_day(seed: int) -> dict[str, dict[str, DayOutcome]]:
    """Each contender's day, and a day with a failure for the two planned contenders."""
    # Ray's modules log every registration of a deployment.
    logging.disable(logging.INFO)
    days: dict[str, tuple[Sequence[Contender], Trouble]] = {"a day": (ON_PAPER, Trouble())}
    days |= {name: ((BY_RATE, AS_PLANNED), trouble) for name, trouble in TROUBLES.items()}
    return {
        name: {c.says: simulated.live_through(WHOLE_DAY, c, STARTUP_S, seed, trouble) for c in whom}
        for name, (whom, trouble) in days.items()
    }


def for_real(seed: int) -> tuple[dict[str, DayOutcome], dict[str, float]]:
    """The contenders' working hours, and how well the machine kept up.

    Raises:
        Unavailable: a blend did not come up; nothing is left running.
    """
    quick = [c.faster(FASTER) for c in (BY_RATE, AS_PLANNED)]
    with tempfile.TemporaryDirectory(prefix="day-") as folder:
        place = Place(Path(folder), {})
        found, run = asyncio.run(real.live_through(WORKING_HOURS, quick, FASTER, seed, place))
    return {c.says: o for c, o in zip(quick, found, strict=True)}, run.figures()


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare; returns the exit status: 1 if a blend did not come up."""
    options = _options(arguments)
    machine: Mapping[str, Any] = {}
    try:
        if options.how == "simulated":
            days, setting = simulated_day(options.seed), WHOLE_DAY
        else:
            outcomes, machine = for_real(options.seed)
            days, setting = {"10:00 to 15:30 in 33 minutes": outcomes}, WORKING_HOURS
    except Unavailable as exc:
        print(f"The comparison could not be made: {exc}", file=sys.stderr)
        return 1
    for name, outcomes in days.items():
        rich.print(report.table(name, outcomes))
    figures = {name: {w: o.figures() for w, o in day.items()} for name, day in days.items()}
    result = {
        **made_by("loadtests.studies.autoscaling"),
        "seed": options.seed,
        **machine,
        "days": figures,
    }
    if options.save:
        options.save.write_text(json.dumps(result, indent=2) + "\n")
        first = next(iter(days.values()))
        shown = {c.says: first[c.says] for c in (BY_RATE, AS_PLANNED)}
        report.save(options.save.with_suffix(".png"), setting.day, shown)
    print(json.dumps(result))
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.studies.autoscaling", description=__doc__
    )
    parser.add_argument("how", choices=("simulated", "real"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--save", type=Path, help="the JSON file; a picture goes beside it")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
