"""A report of a load test or a soak: python -m loadtests.report RESULT [--html FILE] [--blend FILE]

RESULT is the output of Locust with loadtests/chat.py or of `python -m loadtests.soak`; its last
line is read. Prints a table; the HTML is one file that needs neither a network nor scripts. With
--blend the report compares the components' shares with the blend's weights.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from blended.config import BlendConfig
from blended.config.loading import load
from blended.errors import BlendedError
from loadtests.report.page import page
from loadtests.users import run_summary


class NoResult(ValueError):
    """A file is no result of a load test."""


def read(path: Path) -> dict[str, Any]:
    """The document in the last line of a file.

    Raises:
        NoResult: there is none.
        OSError: the file cannot be read.
    """
    lines = path.read_text().splitlines()
    try:
        document = json.loads(lines[-1])
        if "soak" in document or "by_turn" in document:
            return dict(document)
    except (IndexError, TypeError, ValueError):
        pass
    raise NoResult(f"The last line of {path} is no result of a load test, which is JSON.")


def weights(blend: BlendConfig) -> dict[str, float]:
    """The share of each component as it is configured."""
    given = blend.selection.weights or {component.id: 1.0 for component in blend.components}
    total = sum(given.values())
    return {name: weight / total for name, weight in given.items() if weight}


def lines(document: Mapping[str, Any]) -> list[str]:
    """The report as text for the terminal."""
    run = document.get("soak", document)
    found = [run_summary.table(run), *run_summary.describe(run), run_summary.verdict(run)]
    return [*found, *document.get("complaints", [*run["missed"], *run["refused"]])]


def main(arguments: Sequence[str] | None = None) -> int:
    """Report; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.report", description=__doc__)
    parser.add_argument("result", type=Path)
    parser.add_argument("--html", type=Path, help="the page to write")
    parser.add_argument("--blend", help="a preset's name, or a file")
    options = parser.parse_args(arguments)
    try:
        document = read(options.result)
        configured = weights(load(options.blend)) if options.blend else {}
    except (BlendedError, NoResult, OSError) as exc:
        print(exc, file=sys.stderr)
        return 2
    print(*lines(document), sep="\n")
    if options.html:
        options.html.write_text(page(document, configured))
    return 0


if __name__ == "__main__":
    sys.exit(main())
