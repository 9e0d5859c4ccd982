"""`make bench`: all targets side by side, in interleaved passes, on this machine."""

import argparse
import json
import os
import platform
import shlex
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from loadtests.harness import blended_targets, engine_targets
from loadtests.harness.load_generator import Job, Sample, apart
from loadtests.harness.machine import machine
from loadtests.harness.processes import Unavailable, spent_ms, usage
from loadtests.harness.simulated_upstream import INTERVAL_S, TOKENS
from loadtests.harness.targets import ROOT, Place, Target, bare, chats, start_peer, upstream
from loadtests.studies.router_overhead import report
from loadtests.studies.router_overhead.peers import PEERS
from loadtests.studies.router_overhead.report import Measure, Pass

RESULTS = Path(__file__).parents[2] / "results"
# The clients of a paced stream begin spread over its duration, so that tokens do not come in waves.
STAGGER_S = INTERVAL_S * TOKENS
MEASURES = (
    Measure("unary", 1, 1.5),
    Measure("unary", 32, 2.5),
    Measure("paced", 1, 4.5),
    Measure("paced", 32, 3.2),
    Measure("burst", 32, 3.0),
)
NAMES = (
    "bare",
    "blended",
    "blended_no_journal",
    "blended_local",
    *PEERS,
    "vllm_bare",
    "vllm_blended",
)
_WARM_UP_S = 0.5
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

Start = Callable[[Place, ExitStack], list[Target]]


def main() -> None:
    """Measure, print the table and, last, one line of JSON."""
    options = _options()
    for number in _SIGNALS:
        signal.signal(number, _interrupt)
    before = os.getloadavg()[0]
    bench = Bench(options.passes, 0.4 if options.quick else 1.0)
    for starts in filter(None, _groups(options.only)):
        bench.run_group(starts, options.only)
    load_average = {"before": before} | bench.load_averages()
    targets = {name: bench.figures(name) for name in bench.versions}
    print(report.table(targets))
    print(*report.comparison_lines(report.comparison(targets)), sep="\n")
    result = report.result(targets, load_average, bench.unavailable)
    if options.save:
        _save(result | {"versions": bench.versions, "passes": list(map(asdict, bench.passes))})
    print(json.dumps(result))


def _interrupt(number: int, frame: object) -> None:
    """Leave every context, which stops its processes; a second signal must not interrupt that."""
    for other in _SIGNALS:
        signal.signal(other, lambda *_: None)
    raise SystemExit(f"{signal.Signals(number).name}: stopping everything that was started")


class Bench:
    """The passes so far, and the targets that could not take part."""

    def __init__(self, passes: int, share: float) -> None:
        self._rounds = passes
        self._share = share
        self.passes: list[Pass] = []
        self.versions: dict[str, str] = {}
        self.unavailable: dict[str, str] = {}

    def run_group(self, starts: Mapping[str, Start], only: Sequence[str]) -> None:
        """Start some targets, measure them in turn, and stop them."""
        with tempfile.TemporaryDirectory(prefix="blended-bench-") as folder, ExitStack() as stack:
            place = Place(Path(folder), stack.enter_context(upstream(Path(folder))))
            started = [t for name in starts for t in self._started(name, starts, place, stack)]
            targets = [target for target in started if target.name in only]
            self.versions |= {target.name: target.version for target in targets}
            for target in targets:
                for kind in ("unary", "burst"):
                    sample_of(target, Measure(kind, 32, _WARM_UP_S), _WARM_UP_S)
            for number in range(1, self._rounds + 1):
                for target in targets:
                    print(f"pass {number} of {self._rounds}: {target.name}", file=sys.stderr)
                    self.passes += [measured(target, m, self._share, place) for m in MEASURES]

    def _started(
        self, name: str, starts: Mapping[str, Start], place: Place, stack: ExitStack
    ) -> list[Target]:
        began = time.monotonic()
        try:
            # The processes of a failed target end at once, not with the others.
            with ExitStack() as own:
                targets = starts[name](place, own)
                stack.enter_context(own.pop_all())
        except Unavailable as exc:
            self.unavailable[name] = str(exc)
            print(f"{name}: {exc}", file=sys.stderr)
            return []
        print(f"{name}: up after {time.monotonic() - began:.0f} s", file=sys.stderr)
        return targets

    def figures(self, name: str) -> dict[str, object]:
        """The figures of one target."""
        return report.figures([one for one in self.passes if one.target == name])

    def load_averages(self) -> dict[str, float]:
        """The smallest, median and largest load average before a measure."""
        loads = sorted(one.load_average for one in self.passes) or [0.0]
        return {"min": loads[0], "median": loads[len(loads) // 2], "max": loads[-1]}


def _groups(only: Sequence[str]) -> Iterator[Mapping[str, Start]]:
    """Targets that run at the same time: real engines would take the CPU from the others."""
    first: dict[str, Start] = {"bare": lambda place, stack: [bare(place)]}
    if {"blended", "blended_local"} & set(only):
        first["blended"] = blended_targets.start_blended
    if "blended_no_journal" in only:
        first["blended_no_journal"] = blended_targets.start_without_journal
    for name in PEERS:
        if name in only:
            first[name] = partial(start_peer, name)
    second: dict[str, Start] = {
        "vllm_bare": engine_targets.start_engine,
        "vllm_blended": engine_targets.start_blended_engine,
    }
    yield first
    yield {name: start for name, start in second.items() if name in only}


def measured(target: Target, measure: Measure, share: float, place: Place) -> Pass:
    """One measure, with the CPU time that the target's processes took in it."""
    load_average, asked = os.getloadavg()[0], chats(place)
    before = usage(target.processes(), target.role)
    sample = sample_of(target, measure, measure.seconds * share)
    spent = spent_ms(before, usage(target.processes(), target.role))
    responses = max(1, sample.responses)
    cpu_ms = {role: ms / responses for role, ms in spent.items()}
    reached = {model: count - asked[model] for model, count in chats(place).items()}
    return Pass(target.name, measure, load_average, cpu_ms, reached, sample)


def sample_of(target: Target, measure: Measure, seconds: float) -> Sample:
    """The measurements of a load of this many seconds, from a process of its own."""
    url, stream = urlsplit(target.url), measure.kind != "unary"
    job = Job(
        host=url.hostname or "",
        port=url.port or 80,
        path=url.path,
        headers=dict(target.headers),
        body=target.body(measure.kind),
        clients=measure.clients,
        seconds=seconds,
        stagger_s=STAGGER_S if measure.kind == "paced" else 0.0,
        token=target.token,
        min_tokens=target.min_tokens if stream else 0,
    )
    return apart(job)


def _save(saved: Mapping[str, object]) -> None:
    about = {
        "command": shlex.join(["python", "-m", "loadtests.studies.router_overhead", *sys.argv[1:]]),
        "machine": machine(),
    }
    RESULTS.mkdir(exist_ok=True)
    name = f"{time.strftime('%Y-%m-%d')}-{platform.machine()}-{os.cpu_count()}-cores.json"
    path = RESULTS / name
    path.write_text(json.dumps(about | dict(saved), indent=1) + "\n")
    print(f"saved {path.relative_to(ROOT)}", file=sys.stderr)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="loadtests.studies.router_overhead", description=__doc__)
    parser.add_argument("--only", type=_names, default=NAMES, help=f"some of {','.join(NAMES)}")
    parser.add_argument("--passes", type=int, default=3, help="how often each is measured")
    parser.add_argument("--quick", action="store_true", help="shorter measures")
    parser.add_argument("--save", action="store_true", help="keep the result in loadtests/results")
    return parser.parse_args()


def _names(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    unknown = set(names) - set(NAMES)
    if unknown:
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(sorted(unknown))}")
    return ("bare", *names)


if __name__ == "__main__":
    main()
