"""What clients notice of a fault, for each part of a blend: python -m loadtests.faults

For each part of a blend of simulated components (two components with two replicas each, two
routers, a second node, limits on Redis, a journal in PostgreSQL) and for each way to fail (its
process is killed; its process hangs, by SIGSTOP) a blend is brought up and asked 50 times a second,
streams and whole answers in turn. The fault comes after 10 s and lasts 15 s: then a process that
hangs goes on, and a store that was killed is started again; nothing else is helped.

Prints a table and, last, one line of JSON, which `--out` keeps:

- failed: requests that were refused or whose connection broke, unless a stream had begun;
- silent: streams that had begun, and broke off without an error event;
- longest_s: the longest that a client waited for a first byte, or for the news that none comes;
- lost: responses without a record in the journal a minute after the last one.

All of it takes about half an hour. The exit status is 2 if a blend did not come up.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from loadtests.faults.parts import PARTS, Part
from loadtests.faults.site import site
from loadtests.faults.strike import HOW, How, Noticed, struck
from loadtests.harness.processes import Unavailable
from loadtests.harness.provenance import made_by


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    part: str
    how: How
    noticed: Noticed


def main(arguments: Sequence[str] | None = None) -> int:
    """Strike one part after the other, and print what came of it."""
    names = [part.name for part in PARTS]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", choices=names, help="a part; may be repeated")
    parser.add_argument("--out", type=Path, help="the JSON file")
    options = parser.parse_args(arguments)
    chosen = [part for part in PARTS if not options.only or part.name in options.only]
    try:
        rows = [_measured(part, how) for part in chosen for how in HOW]
    except Unavailable as exc:
        print(f"Nothing is measured: {exc}", file=sys.stderr)
        return 2
    text = json.dumps({**made_by("loadtests.faults"), "faults": [asdict(row) for row in rows]})
    if options.out:
        options.out.write_text(text + "\n")
    print(text)
    return 0


def _measured(part: Part, how: How) -> Row:
    with site() as found:
        row = Row(part.name, how, asyncio.run(struck(found, part, how)))
    print(f"{part.name:>24} {how:<5} {row.noticed}", flush=True)
    return row


if __name__ == "__main__":
    sys.exit(main())
