"""Tests plans against measurements: python -m loadtests.studies.plans

The simulated components (blend.yaml beside this file) have been profiled like any other. For each
case of cases.yaml they are planned without spare replicas, and served. Requests come at random
moments, whether earlier ones are answered or not (an open loop). The planned replicas have to keep
the service level; with one replica fewer of the component nearest to its limit, the level has to be
missed. A response is good if it ended in time, from the component that was drawn. The last line is
JSON; the exit status is 1 if fewer than nine in ten plans are right.
"""

import argparse
import asyncio
import json
import random
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import rich
from rich.table import Table

from blended.config import BlendConfig
from blended.errors import BlendedError
from loadtests.harness.open_loop import RequestOutcome, ScheduledRequest, arrivals, drive
from loadtests.harness.percentiles import percentile
from loadtests.harness.processes import Unavailable
from loadtests.harness.provenance import made_by
from loadtests.harness.start import apply, up
from loadtests.harness.targets import Place
from loadtests.harness.timed_client import MeasurementFailed
from loadtests.studies.plans import cases
from loadtests.studies.plans.cases import Case, Expectation

# The first seconds do not count: the components are empty then.
_WARM_UP_S = 8.0
# A client that sends requests this many seconds late measures its own delay.
_LATE_S = 0.1
# A simulated component counts words, and takes four braces of a request for words.
_BRACES = 4
_RIGHT = 0.9


@dataclass(frozen=True)
class CaseRun:
    """One case with the planned replicas, or with one fewer, and its outcome."""

    number: int
    is_fewer: bool
    replicas: dict[str, int]
    responses: int
    expected: float
    goodput: float


def goodput(outcomes: Sequence[RequestOutcome], case: Case) -> float:
    """The share of good responses among those that were due after the warm-up.

    Raises:
        MeasurementFailed: the client was the bottleneck.
    """
    counted = [o for o in outcomes if o.ask.due_s >= _WARM_UP_S]
    if (late := percentile(sorted(o.late_s for o in counted), 0.99)) > _LATE_S:
        raise MeasurementFailed(f"one in a hundred requests was sent {late:.2f} s late or later")
    return sum(_is_good(outcome, case) for outcome in counted) / len(counted)


def verify(
    job: argparse.Namespace, blend: BlendConfig, expected: Sequence[tuple[Case, Expectation]]
) -> list[CaseRun]:
    """Serve every case with its planned replicas and with one fewer, in a random order.

    Raises:
        Unavailable: the blend did not start, or did not change.
        MeasurementFailed: the client was the bottleneck.
    """
    rng = random.Random(job.seed)
    order = [(number, fewer) for number in range(len(expected)) for fewer in (False, True)]
    rng.shuffle(order)
    runs, target = list[CaseRun](), dict[str, Any]()
    with ExitStack() as stack:
        place = Place(Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="plans-"))), {})
        for number, is_fewer in order:
            case, plan = expected[number]
            replicas = plan.replicas(is_fewer)
            data = cases.served(blend, case, plan.plan, replicas)
            if target:
                apply(data, place)
            else:
                target = up(data, place, stack)
            asks = asked(case, job.responses, rng)
            outcomes = asyncio.run(drive(target["url"], target["headers"], blend.name, asks))
            wanted = plan.fewer if is_fewer else plan.planned
            good = goodput(outcomes, case)
            runs.append(CaseRun(number, is_fewer, replicas, len(asks), wanted, good))
            print(runs[-1], file=sys.stderr)
    return sorted(runs, key=lambda run: (run.number, run.is_fewer))


def asked(case: Case, responses: int, rng: random.Random) -> list[ScheduledRequest]:
    """The requests of a case: `responses` of them, and those of the warm-up."""
    seconds = _WARM_UP_S + responses / case.rate
    words = max(1, round(case.prompt) - _BRACES)
    return list(arrivals(case.rate, seconds, words, case.response, rng))


def right(runs: Sequence[CaseRun], case: Case) -> bool:
    """Whether the level was kept with the planned replicas, and missed with one fewer."""
    planned, fewer = runs
    return planned.goodput >= case.goodput > fewer.goodput


def table(expected: Sequence[tuple[Case, Expectation]], runs: Sequence[CaseRun]) -> Table:
    """The result as text."""
    view = Table(title="Plans of simulated components: good responses, expected and seen")
    for column in ("weights", "rate", "tokens", "level", "replicas", "planned", "one fewer", ""):
        view.add_column(column)
    for number, (case, plan) in enumerate(expected):
        planned, fewer = (run for run in runs if run.number == number)
        view.add_row(
            _listed(case.weights),
            f"{case.rate:g}/s",
            f"{case.prompt:g} + {case.response:g}",
            f"{case.ttft_s:g} s, {1e3 * case.itl_s:g} ms",
            _listed(planned.replicas),
            f"{planned.expected:.2%}, {planned.goodput:.2%}",
            f"{plan.tightest}: {fewer.expected:.1%}, {fewer.goodput:.1%}",
            "right" if right((planned, fewer), case) else "WRONG",
        )
    return view


def main(arguments: Sequence[str] | None = None) -> int:
    """Verify; returns the exit status: 1 if plans are wrong, 2 if nothing could be measured."""
    job = _options(arguments)
    try:
        blend, demands = cases.read()
        found = cases.curves(blend)
        expected = [(case, cases.expect(blend, case, found)) for case in demands[: job.cases]]
        runs = verify(job, blend, expected)
    except (BlendedError, Unavailable, MeasurementFailed, ValueError) as exc:
        print(f"Not measured: {exc}", file=sys.stderr)
        return 2
    pairs = [[run for run in runs if run.number == n] for n in range(len(expected))]
    count = sum(right(pair, case) for pair, (case, _) in zip(pairs, expected, strict=True))
    rich.print(table(expected, runs))
    result = {
        "made_by": made_by("loadtests.studies.plans"),
        "cases": [case.model_dump(mode="json") for case, _ in expected],
        "runs": [asdict(run) for run in runs],
        "right": count,
    }
    print(json.dumps(result))
    return 0 if count >= _RIGHT * len(expected) else 1


def _is_good(outcome: RequestOutcome, case: Case) -> bool:
    found = outcome.response
    if found is None or found.is_redrawn:
        return False
    return found.first_s <= case.ttft_s and found.itl_s <= case.itl_s


def _listed(numbers: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {number:g}" for name, number in numbers.items())


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtests.studies.plans", description=__doc__)
    add = parser.add_argument
    add("--cases", type=int, default=None, help="only the first so many")
    add("--responses", type=int, default=1000, help="for each number of replicas, about")
    add("--seed", type=int, default=1)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
