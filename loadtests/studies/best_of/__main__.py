"""Best of several candidates, where all truth is known: python -m loadtests.studies.best_of

Simulated components write the quality of each text into it, and a simulated reward model reads it
with noise. Five parts, each but `cost` on a blend that is started for it:

- planted: how much the best of four raises the quality, for a reward model of correlation 0.3 and
  one of 0.8, against the order statistic;
- waits: the time to the first token with one candidate, with four, and with four that are judged
  after 24 tokens, against the order statistic of lengths;
- outage: the reward model is killed under load;
- cost: the floating-point operations of four candidates over those of one response, computed for
  the paper's models and nothing measured;
- experiment: users come back because of the quality, in arms of one candidate and of four, and
  `blended experiment report` is asked for the effect.

Prints tables and, last, one line of JSON, which `--save` keeps. The exit status is 1 if a part is
not as it should be, 2 if nothing could be measured.
"""

import argparse
import asyncio
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from blended.config import BestOf
from blended.launch.state import Running
from loadtests.harness import cluster, start
from loadtests.harness.processes import Unavailable
from loadtests.harness.provenance import made_by
from loadtests.harness.start import up
from loadtests.harness.targets import Place
from loadtests.harness.timed_client import MeasurementFailed
from loadtests.studies.best_of import outage, planted, users, waits
from loadtests.studies.best_of.blends import BEST_OF, EARLY, FOUR, ONE, blend
from loadtests.studies.blend_cost.flops import PAPER, candidates_flops, response_flops

_CORRELATIONS = (0.3, 0.8)
_TIMING = waits.Timing(ttft_ms=50, itl_ms=10, tokens=64, reward_ms=5)
_SHORT = {"ttft_ms": 0, "itl_ms": 0, "tokens": 4}
_TIMEOUT_MS = 500
# A change of the running blend takes less.
_APPLYING_S = 5.0
# How far a time may be from theory, and how many standard errors a mean.
_NEAR, _ERRORS = 0.05, 3.0

Found = dict[str, Any]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; returns the exit status."""
    job = _options(arguments)
    found: Found = {}
    try:
        for name in job.only or list(_PARTS):
            measure, is_right = _PARTS[name]
            with tempfile.TemporaryDirectory(prefix="best-of-") as folder, ExitStack() as stack:
                part = measure(job, Path(folder), stack)
            found[name] = part | {"is_right": is_right(part)}
            print(json.dumps({name: found[name]}, indent=1), flush=True)
    except (Unavailable, MeasurementFailed) as exc:
        print(f"Not measured: {exc}", file=sys.stderr)
        return 2
    document = made_by("loadtests.studies.best_of") | {"seed": job.seed} | found
    if job.save:
        job.save.write_text(json.dumps(document, indent=1) + "\n")
    print(json.dumps(document))
    return 0 if all(part["is_right"] for part in found.values()) else 1


def _planted(job: argparse.Namespace, folder: Path, stack: ExitStack) -> Found:
    rows = []
    for correlation in _CORRELATIONS:
        with ExitStack() as one:
            reward = {"correlation": correlation, "ms": 0, "timeout_ms": 60_000}
            data = blend(f"planted-{100 * correlation:g}", _SHORT, reward)
            target = up(data, Place(folder, {}), one)
            of = {
                name: asyncio.run(planted.responses(target, name, job.responses, job.at_once))
                for name in (ONE, FOUR)
            }
        rows.append(planted.gain(of[ONE], of[FOUR], 4, correlation))
    return {"rows": rows}


def _waits(job: argparse.Namespace, folder: Path, stack: ExitStack) -> Found:
    timing = {name: getattr(_TIMING, name) for name in ("ttft_ms", "itl_ms", "tokens")}
    data = blend("waits", timing, {"correlation": 0.8, "ms": _TIMING.reward_ms})
    target = up(data, Place(folder, {}), stack)
    found = {
        name: asyncio.run(planted.responses(target, name, job.waits, job.waiting))
        for name in (ONE, FOUR, EARLY)
    }
    alone = 1e3 * math.fsum(r.first_s for r in found[ONE]) / len(found[ONE])
    floor_ms = alone - waits.expected_ms(_TIMING, None)
    rows = {
        name: waits.row(
            responses,
            _TIMING,
            None if BEST_OF[name] is None else BestOf.model_validate(BEST_OF[name]),
            floor_ms,
        )
        for name, responses in found.items()
    }
    return {**asdict(_TIMING), "at_once": job.waiting, "rows": rows}


def _outage(job: argparse.Namespace, folder: Path, stack: ExitStack) -> Found:
    timing = {"ttft_ms": 50, "itl_ms": 10, "tokens": 8}
    data = blend("outage", timing, {"ms": 5, "timeout_ms": _TIMEOUT_MS})
    target = up(data, Place(folder, {}), stack)
    state = folder / "state-outage"
    running = Running(**json.loads((state / "running.json").read_text()))
    token = (state / "ray_token").read_text().strip()
    pids = cluster.replicas(running, token, "reward", "RewardModel")
    found = asyncio.run(outage.struck(target, FOUR, pids))
    return {"timeout_ms": _TIMEOUT_MS, **found}


def _cost(job: argparse.Namespace, folder: Path, stack: ExitStack) -> Found:
    """Of a turn deep in a conversation, whose prompt is in the cache but for what is new."""
    prompt, uncached, tokens = 1000, 300, 64
    ratios = {
        name: candidates_flops(shape, prompt, uncached, [tokens] * 4)
        / response_flops(shape, prompt, uncached, tokens)
        for name, shape in PAPER.items()
    }
    return {
        "computed": True,
        "prompt": prompt,
        "uncached": uncached,
        "tokens": tokens,
        "operations_over_one": {name: round(ratio, 3) for name, ratio in ratios.items()},
    }


def _experiment(job: argparse.Namespace, folder: Path, stack: ExitStack) -> Found:
    cast, correlation = users.Cast(job.users, 3, job.day_s, job.seed), 0.8
    reward = {"correlation": correlation, "ms": 0, "timeout_ms": 60_000}
    data, place = blend("experiment", _SHORT, reward, {FOUR: 4}), Place(folder, {})
    target = up(data, place, stack)
    began = (1 + math.ceil((time.time() + _APPLYING_S) / cast.day_s)) * cast.day_s
    start.apply(data | {"experiments": [_arms(cast, began)]}, place)
    if time.time() > began:
        raise Unavailable("the experiment took longer to begin than its first day was away")
    count = asyncio.run(users.live(target, "experiment", cast, began))
    time.sleep(max(0.0, began + (cast.days + 0.5) * cast.day_s - time.time()))
    return {
        **asdict(cast),
        "responses": count,
        "true_lift": round(users.true_lift(4, correlation), 3),
        "report": _report(folder / "state-experiment"),
    }


def _arms(cast: users.Cast, began: float) -> Found:
    """The experiment: one candidate against four, from the users' first day on."""
    ends = began + (cast.days + 10) * cast.day_s
    return {
        "name": "best-of-four",
        "control": ONE,
        "arms": [{"id": ONE, "best_of": 1}, {"id": FOUR, "best_of": 4}],
        "start": datetime.fromtimestamp(began, UTC).isoformat(),
        "end": datetime.fromtimestamp(ends, UTC).isoformat(),
        "session_gap_s": cast.day_s / 48,
        # Candidates take longer: that is known, and not what is asked here.
        "guardrails": {"ttft": 10},
        "rehearsal": {"day_s": cast.day_s},
    }


def _report(state: Path) -> Found:
    """What the command line says of the experiment."""
    program = Path(sys.executable).with_name("blended")
    command = [str(program), "experiment", "report", "best-of-four", "--json"]
    environment = os.environ | {"BLENDED_STATE_DIR": str(state)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        raise MeasurementFailed(f"no report: {done.stderr[-300:]}")
    report: Found = json.loads(done.stdout)
    days = [r for r in report["ratios"]["retention"].get(FOUR, ()) if r["day"] == 1]
    if not days:
        raise MeasurementFailed(f"the report has no retention: {report['missing']}")
    [day] = days
    return {
        "decision": report["decisions"][FOUR],
        "verdict": report["verdict"],
        "interval": report["interval"],
        "users": {name: arm["users"] for name, arm in report["arms"].items()},
        "effects": {name: effect["said"] for name, effect in report["effects"][FOUR].items()},
        "lift": round(day["value"] - 1, 3),
        "low": round(day["low"] - 1, 3),
        "high": round(day["high"] - 1, 3),
    }


def _is_planted_right(part: Found) -> bool:
    return all(abs(row["errors"]) <= _ERRORS for row in part["rows"])


def _are_waits_right(part: Found) -> bool:
    return all(abs(row["ratio"] - 1) <= _NEAR for row in part["rows"].values())


def _is_outage_right(part: Found) -> bool:
    late = part["p99_ms"]["after"] - part["p99_ms"]["before"]
    has_failed_open = part["chosen_by"]["after"].get("first", 0) > 0
    return bool(part["failed"] == 0 and has_failed_open and late <= part["timeout_ms"])


def _is_cost_right(part: Found) -> bool:
    return all(1 < ratio < 4 for ratio in part["operations_over_one"].values())


def _is_experiment_right(part: Found) -> bool:
    """Whether retention rises on day 1 by the report, whose interval holds the truth."""
    found = part["report"]
    return bool(0 < found["low"] <= part["true_lift"] <= found["high"])


_PARTS: dict[str, tuple[Callable[..., Found], Callable[[Found], bool]]] = {
    "planted": (_planted, _is_planted_right),
    "waits": (_waits, _are_waits_right),
    "outage": (_outage, _is_outage_right),
    "cost": (_cost, _is_cost_right),
    "experiment": (_experiment, _is_experiment_right),
}


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.studies.best_of", description=__doc__
    )
    add = parser.add_argument
    add("--only", action="append", choices=list(_PARTS), help="a part; may be repeated")
    add("--responses", type=int, default=5_000, help="of each component, for `planted`")
    add("--at-once", type=int, default=32, help="clients of `planted`")
    add("--waits", type=int, default=1_500, help="responses of each component, for `waits`")
    add("--waiting", type=int, default=12, help="clients of `waits`")
    add("--users", type=int, default=1_000, help="of the experiment")
    add("--day-s", type=float, default=40.0, help="seconds of a day of the experiment")
    add("--seed", type=int, default=1)
    add("--save", type=Path, help="a file that keeps the result")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
