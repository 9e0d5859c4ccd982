"""Journals of simulated experiments, and their reports by the command line."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from blended.cli import experiment
from blended.journal.records import Record
from blended.journal.store import Store
from loadtests.studies.pitfalls.world import NAME

_AT_ONCE = 5_000


def report(records: list[Record], folder: Path, until: float) -> dict[str, Any]:
    """The report on a journal with these records, at the end of the experiment."""
    url = f"sqlite:///{folder / 'journal.db'}"
    store = Store(url)
    store.migrate()
    for at in range(0, len(records), _AT_ONCE):
        store.add(records[at : at + _AT_ONCE])
    store.close()
    arguments = ["report", NAME, "--journal", url, "--json", "--until", _iso(until)]
    run = CliRunner().invoke(experiment.app, arguments, catch_exceptions=False)
    found: dict[str, Any] = json.loads(run.stdout)
    return found


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()
