"""Simulated users with known habits, into a journal or at a running blend.

python -m loadtests.studies.population --users 20000 --days 35 --arm control \\
    --arm blend:retention=1.15,engagement=1.10 --journal sqlite:////tmp/rehearsal/journal.db

writes the journal of an experiment that has ended. With --url, --blend and --day-s instead of
--journal the users talk to an API, on days of so many seconds. The effects are retention and
engagement, factors on every day after the first, and retention_decay and engagement_decay,
exponents of the number of the day. The first line says that all is simulated; the last line is
JSON.
"""

import argparse
import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from rich.console import Console
from rich.progress import Progress, track

from blended.config.loading import load
from blended.errors import BlendedError, ConfigError
from blended.journal.identity import Identity
from blended.journal.store import Store
from blended.launch import state
from loadtests.studies.population import report
from loadtests.studies.population.drive import BlendApi, drive
from loadtests.studies.population.journal_writing import SimulatedExperiment, write
from loadtests.studies.population.options import parse
from loadtests.studies.population.schedule import Cast, check_period, experiment_of, next_day


def main(arguments: Sequence[str] | None = None, now: float | None = None) -> int:
    """Run from the command line; returns the exit status."""
    at = time.time() if now is None else now
    try:
        options = parse(arguments, __doc__)
        print(report.SIMULATED, flush=True)
        result = _written(options, at) if options.journal else _driven(options, at)
    except BlendedError as exc:
        print(exc, file=sys.stderr)
        return 2 if isinstance(exc, ConfigError) else 1
    complaint = None if options.journal else report.complaint(result)
    if complaint:
        print(complaint, file=sys.stderr)
    head = {"simulated": True, "experiment": options.experiment, "seed": options.seed}
    print(json.dumps({**head, "days": options.days, **result}))
    return 1 if complaint else 0


def _written(options: argparse.Namespace, now: float) -> dict[str, Any]:
    rehearsal = SimulatedExperiment(
        experiment=options.experiment,
        effects=options.arm,
        users=options.users,
        days=options.days,
        join_days=options.join_days,
        start=options.start or _ends_yesterday(now, options.days),
        seed=options.seed,
    )
    began_s = time.perf_counter()
    store, population, kinds = Store(options.journal), rehearsal.population(), Counter[str]()
    written = write(store, rehearsal.records(population))
    try:
        for day in track(written, "days", total=1 + options.days, console=_progress()):
            kinds += day
    finally:
        store.close()
    took_s = time.perf_counter() - began_s
    control = options.arm[0].name
    counted, true = report.counts(population, options.arm), report.truth(options.arm, control)
    Console().print(report.table(counted, true))
    return {
        "start": rehearsal.start.isoformat(),
        "arms": counted,
        "truth": true,
        "records": dict(kinds),
        "seconds": round(took_s, 1),
        "records_per_s": round(kinds.total() / took_s),
    }


def _driven(options: argparse.Namespace, now: float) -> dict[str, Any]:
    blend = load(options.blend)
    experiment = experiment_of(blend, options.experiment, options.arm, options.day_s)
    began_at = next_day(now, options.day_s)
    check_period(experiment, began_at, began_at + options.days * options.day_s)
    cast = Cast(
        blend=blend,
        experiment=experiment,
        effects=options.arm,
        users=options.users,
        days=options.days,
        join_days=options.join_days,
        seed=options.seed,
    )
    users, arms = cast.schedule(Identity(state.journal_secret()), began_at, options.day_s)
    target = BlendApi(options.url, state.client_key(), blend.name)
    with Progress(console=_progress()) as progress:
        task = progress.add_task("requests", total=sum(len(user.asks) for user in users))
        tally = asyncio.run(drive(target, users, began_at, lambda: progress.advance(task)))
    true = report.truth(options.arm, experiment.control)
    counted = {effect.name: {"users": arms.count(effect.name)} for effect in options.arm}
    Console().print(report.table(counted, true))
    result = report.driven(tally, options.day_s)
    return {"began_at": began_at, "arms": counted, "truth": true, **result}


def _progress() -> Console:
    return Console(stderr=True)


def _ends_yesterday(now: float, days: int) -> date:
    return datetime.fromtimestamp(now, UTC).date() - timedelta(days=days)


if __name__ == "__main__":
    sys.exit(main())
