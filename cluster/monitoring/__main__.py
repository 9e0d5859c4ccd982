"""Writes the Grafana dashboard and the alert rules of a blend, from its metrics.

`python -m cluster.monitoring` writes them to k8s/components/monitoring; `--check` tells whether the
files there are current.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from cluster.monitoring.alerts import Levels
from cluster.monitoring.files import COMMAND, FOLDER, files, stale


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the files, or check them; returns the exit status."""
    options = _options(arguments)
    levels = Levels(ttft_s=options.ttft_s)
    if options.check:
        return _check(options.out, levels)
    options.out.mkdir(parents=True, exist_ok=True)
    for name, text in files(levels).items():
        (options.out / name).write_text(text)
    return 0


def _check(folder: Path, levels: Levels) -> int:
    found = stale(folder, levels)
    if found:
        names = " and ".join(found)
        print(f"Not current in '{folder}': {names}; run `{COMMAND}`.", file=sys.stderr)
    return int(bool(found))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=COMMAND, description="Dashboard and alert rules.")
    parser.add_argument("--out", type=Path, default=FOLDER, help="k8s/components/monitoring")
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 if they differ")
    parser.add_argument("--ttft-s", type=float, default=Levels.ttft_s, help="level of TTFT's p99")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
