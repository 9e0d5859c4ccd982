"""One run in one process: its measurements, and all of them as the last line of its output."""

import os
import shlex
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from itertools import count
from typing import Any

import gevent  # type: ignore[import-untyped]

from loadtests.harness.machine import machine
from loadtests.users import run_summary
from loadtests.users.client_watch import ClientWatch, shown
from loadtests.users.options import LoadTest
from loadtests.users.tally import Ledger


class Session:
    """The measurements of this process in its run; in a master, those of its workers.

    `clients` are the figures of the processes that make the load, by name; `failure` says why
    nothing could be measured.
    """

    def __init__(self, run: LoadTest) -> None:
        self.run, self.began_s = run, time.perf_counter()
        self.ledger, self.client = Ledger(run.level, run.slot_s), ClientWatch()
        self.clients, self.numbers = dict[str, list[Any]](), count()
        self.load_average = os.getloadavg()[0]
        self.document: dict[str, Any] | None = None
        self.failure = ""

    @property
    def at_s(self) -> float:
        """Seconds since the run began here."""
        return time.perf_counter() - self.began_s

    @property
    def is_over(self) -> bool:
        """Whether the run has ended, so that no request is sent any more."""
        return self.at_s >= self.run.seconds

    def rest(self, seconds: float) -> None:
        """Sleep for a time, or until the run is over."""
        gevent.sleep(max(0.0, min(seconds, self.run.seconds - self.at_s)))

    def conclude(self, errors: Mapping[str, int]) -> dict[str, Any]:
        """All figures of the run, and their provenance; errors are counted by their messages."""
        run, ledger = self.run, self.ledger
        parts = run_summary.parts(ledger, run.seconds)
        clients = [shown(name, wire) for name, wire in self.clients.items()]
        document = {
            "load": run.load(),
            "level": {
                "first_token_ms": _milliseconds(run.level.first_s),
                "between_tokens_ms": _milliseconds(run.level.between_s),
                "goodput": run_summary.GOODPUT,
            },
            **run_summary.groups(ledger),
            "errors": dict(errors),
            "parts": parts,
            "knee": run_summary.knee(parts),
            "client": clients,
            "refused": list(run_summary.refusals(clients, run.limits)),
            "people": asdict(run.people),
            "seed": run.seed,
            "load_average": self.load_average,
            "machine": machine(),
            "versions": {"locust": version("locust"), "gevent": version("gevent")},
            "command": shlex.join(["locust", *sys.argv[1:]]),
        }
        return document | {"missed": list(run_summary.missed(document))}


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else 1e3 * seconds
