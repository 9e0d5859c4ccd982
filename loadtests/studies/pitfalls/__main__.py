"""What the report makes of experiments that mislead: python -m loadtests.studies.pitfalls

Writes a journal of each case, once with its trap and once without, and reports it by the command
line. Prints a table and, last, one line of JSON; `--save` keeps it in loadtests/results. `--before`
takes the verdicts of another version from a file that this program has printed there.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from blended import __version__
from loadtests.harness.machine import machine
from loadtests.studies.pitfalls import SAVED
from loadtests.studies.pitfalls.cases import CASES, Case
from loadtests.studies.pitfalls.journals import report


def main() -> None:
    """Report every case, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", type=Path, metavar="FILE", help="another version's last line")
    parser.add_argument("--save", action="store_true", help="keep it in loadtests/results")
    options = parser.parse_args()
    before = _verdicts(options.before) if options.before else {}
    found = [_result(case, before.get(case.name)) for case in CASES]
    result = {
        "simulated": True,
        "command": "python -m loadtests.studies.pitfalls --before FILE --save",
        "machine": machine(),
        "version": __version__,
        "cases": found,
    }
    if options.save:
        SAVED.write_text(json.dumps(result, indent=1) + "\n")
    Console(width=160).print(_table(found))
    print(json.dumps(result))


def _result(case: Case, before: str | None) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        found = report(case.records(), Path(folder), case.end)
    with tempfile.TemporaryDirectory() as folder:
        sound = report(case.sound_records(), Path(folder), case.world.definition().end)
    return {
        "case": case.name,
        "truth": case.truth,
        "before": before,
        "decision": _decision(found),
        "verdict": found["verdict"],
        "without_the_trap": _decision(sound),
        "verdict_without_the_trap": sound["verdict"],
    }


def _decision(document: dict[str, Any]) -> str | None:
    """The decision on the arm 'test'; other versions make none."""
    decisions = document.get("decisions")
    return decisions["test"]["decision"] if decisions else None


def _verdicts(file: Path) -> dict[str, str]:
    last = json.loads(file.read_text().splitlines()[-1])
    return {case["case"]: " ".join(case["verdict"]) for case in last["cases"]}


def _table(found: list[dict[str, Any]]) -> Table:
    table = Table("case", "truth", "before", "decision", "verdict", show_lines=True)
    for case in found:
        verdict = " ".join(case["verdict"])
        table.add_row(case["case"], case["truth"], case["before"], case["decision"], verdict)
    return table


if __name__ == "__main__":
    main()
