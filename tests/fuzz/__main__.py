"""Fuzz a running blend: python -m tests.fuzz --url URL --key KEY --model MODEL

Prints how many cases of each kind ended how, every violation with the seed that replays it
(--only SEED), and one line of JSON. The exit status is 1 when there were violations.
"""

import argparse
import asyncio
import itertools
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from tests.fuzz import cases, exchange, verdict

_SHOWN = 50


@dataclass
class Tally:
    """What became of the cases so far: counts by kind and outcome, and the faults by seed."""

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    violations: list[dict[str, Any]] = field(default_factory=list)

    def add(self, seed: int, case: cases.Case, judged: verdict.CaseVerdict) -> None:
        """Count a case."""
        self.outcomes[case.kind, judged.outcome] += 1
        if judged.fault:
            self.violations.append({"seed": seed, "kind": case.kind, "fault": judged.fault})
            if len(self.violations) <= _SHOWN:
                print(f"VIOLATION --only {seed}  {case.kind}: {judged.fault}", flush=True)


async def fuzz(
    target: cases.Target, seeds: Iterator[int], connections: int, duration_s: float, limit_s: float
) -> Tally:
    """Play the cases of `seeds`, `connections` at once, until they or the time are at an end."""
    tally, end = Tally(), time.monotonic() + duration_s

    async def work() -> None:
        for seed in seeds:
            case = cases.draw(seed, target)
            tally.add(seed, case, await played(target, case, limit_s))
            if time.monotonic() > end:
                return

    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(work())
    return tally


async def played(target: cases.Target, case: cases.Case, limit_s: float) -> verdict.CaseVerdict:
    """Play one case and judge it."""
    try:
        return verdict.judge(case, await exchange.run(target, case, limit_s))
    except OSError as exc:
        return verdict.CaseVerdict("refused", f"no connection: {exc}")


def main() -> int:
    """Run from the command line."""
    args = _arguments()
    address = urlsplit(args.url)
    target = cases.Target(address.hostname or "", address.port or 80, args.key, args.model)
    seeds = itertools.count(args.seed * 10**7) if args.only is None else iter([args.only])
    if args.only is not None:
        print(cases.draw(args.only, target))
    start = time.monotonic()
    tally = asyncio.run(fuzz(target, seeds, args.connections, args.minutes * 60, args.limit_s))
    for (kind, outcome), count in sorted(tally.outcomes.items()):
        print(f"{count:8}  {kind:30} {outcome}")
    summary = {
        "seed": args.seed,
        "cases": tally.outcomes.total(),
        "seconds": round(time.monotonic() - start, 1),
        "outcomes": {f"{kind}: {o}": n for (kind, o), n in sorted(tally.outcomes.items())},
        "violations": tally.violations,
    }
    print(json.dumps(summary))
    return 1 if tally.violations else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--url", required=True, help="where the API answers, without a path")
    parser.add_argument("--key", required=True, help="an API key without limits")
    parser.add_argument("--model", required=True, help="the blend's name, or a component's")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--connections", type=int, default=20, help="how many cases at once")
    parser.add_argument("--limit-s", type=float, default=60, help="a case may take that long")
    parser.add_argument("--only", type=int, metavar="SEED", help="play one case alone")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
