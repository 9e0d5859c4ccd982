"""The cost of the journal in PostgreSQL: python -m loadtests.studies.journal --rows 10000000

Fills a PostgreSQL of its own with made-up responses, aggregates users' days three times as an
analyst would, reports the experiment that all of them belong to and its components, learns from all
draws, exports everything once, and prints the times and, last, one line of JSON. The data are drawn
in SQL: users come back at random for conversations of five turns over 90 days, of which four fifths
are continued and one in twenty is retried.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import TextClause, create_engine, text

from blended.experiments.definition import ArmDefinition, Definition
from blended.journal.export import export
from blended.journal.partitions import create_missing
from blended.journal.queries import user_days
from blended.journal.records import ExperimentRecord
from blended.journal.store import Store
from loadtests.harness.postgres import postgres

_BEGIN, _DAYS, _DAY_S, _TURNS = 1_785_542_400, 90, 86_400, 5
_END = _BEGIN + (_DAYS + 1) * _DAY_S
_GAP_S = 1800.0
_STEPS = 20
_RESPONSES = text(
    """
    INSERT INTO responses
    SELECT
        at, 'chatcmpl-' || lpad(to_hex((at * 1000)::bigint), 12, '0') || substr(turn_key, 1, 20),
        'request-' || session || '-' || turn, 'default', user_key, md5('conversation' || session),
        turn, turn_key, CASE WHEN turn > 1 THEN md5(session || '-' || turn - 1) END, 'blend',
        'experiment', 'arm-' || ascii(user_key) % 2, 'd1d1d1d1d1d1', '{"a": 0.25, "b": 0.75}', x,
        CASE WHEN x < 0.25 THEN 'a' ELSE 'b' END, CASE WHEN x < 0.25 THEN 'a' ELSE 'b' END,
        CASE WHEN x < 0.25 THEN 0.25 ELSE 0.75 END, '[]', 'replica-' || session % 8, true,
        100 + turn * 50, turn * 40, 20 + (x * 100)::int, 0.05 + x / 10, 0.01, 0.03, 0.5 + x * 2,
        0.001, 'stop', CASE WHEN x < 0.01 THEN 'failed_before_first_byte'
                            WHEN x < 0.05 THEN 'cancelled' ELSE 'finished' END, 1, NULL
    FROM (
        SELECT
            session, turn, random() AS x, md5(session || '-' || turn) AS turn_key,
            md5('user' || abs(hashint8(session)::bigint) % :users) AS user_key,
            (:begin_ms + session * :span_ms / :sessions + turn * 41000 + session % 1000)::float8
                / 1000 AS at
        FROM generate_series(CAST(:first AS bigint), CAST(:last AS bigint)) AS session,
            generate_series(1, CAST(:turns AS int)) AS turn
    ) AS made
    """
)
_FEEDBACK = text(
    """
    INSERT INTO feedback
    SELECT started_at, response_id, kind, started_at + 41, value, 'chatcmpl-', NULL, true, 1
    FROM responses, (VALUES ('continued', 39.0), ('retry', NULL)) AS said (kind, value)
    WHERE started_at >= :since AND started_at < :until
      AND CASE kind WHEN 'retry' THEN uniform > 0.95 ELSE turn < :turns END
    """
)


def main() -> None:
    """Fill, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="responses, about")
    parser.add_argument("--users", type=int, default=200_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, postgres() as server:
        result = _measure(server.url, Path(folder), options.rows, options.users)
    for name, value in result.items():
        print(f"{name:>24}  {value}")
    print(json.dumps(result))


def _measure(url: str, folder: Path, rows: int, users: int) -> dict[str, Any]:
    store = Store(url)
    store.migrate()
    before = os.getloadavg()[0]
    filled_s, _ = _timed(lambda: _fill(url, rows // _TURNS, users))
    _define(store)
    aggregates = [_timed(lambda: _aggregate(store)) for _ in range(3)]
    reported_s, reported_mib = _asked(url, "experiment", "report", "experiment")
    compared_s, compared_mib = _asked(url, "experiment", "components", "experiment")
    learned_s, learned_mib = _asked(url, "learn", "report")
    memory_mib = _peak_mib()
    exported_s, written = _timed(lambda: export(store, _BEGIN, _END, folder / "files", "parquet"))
    store.close()
    return {
        "rows": {path.stem: number for path, number in written.items()},
        "users": users,
        "user_days": aggregates[0][1],
        "fill_s": filled_s,
        "aggregate_s": [seconds for seconds, _ in aggregates],
        "report_s": reported_s,
        "report_peak_mib": reported_mib,
        "components_s": compared_s,
        "components_peak_mib": compared_mib,
        "learn_s": learned_s,
        "learn_peak_mib": learned_mib,
        "export_s": exported_s,
        "export_bytes": sum(path.stat().st_size for path in written),
        "peak_mib_before_export": memory_mib,
        "peak_mib_after_export": _peak_mib(),
        "load_average": {"before": before, "after": os.getloadavg()[0]},
        "cores": os.cpu_count(),
    }


def _fill(url: str, sessions: int, users: int) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        create_missing(connection, range(_BEGIN, _END, _DAY_S))
    span = {"begin_ms": _BEGIN * 1000, "span_ms": _DAYS * _DAY_S * 1000, "sessions": sessions}
    for step in range(_STEPS):
        first, last = sessions * step // _STEPS + 1, sessions * (step + 1) // _STEPS
        values = {**span, "users": users, "turns": _TURNS, "first": first, "last": last}
        _run(engine, _RESPONSES, values)
        print(f"{last * _TURNS} of {sessions * _TURNS} responses", flush=True)
    for day in range(_BEGIN, _END, _DAY_S):
        _run(engine, _FEEDBACK, {"since": day, "until": day + _DAY_S, "turns": _TURNS})
    _run(engine, text("ANALYZE"), {})
    engine.dispose()


def _run(engine: Any, statement: TextClause, values: dict[str, Any]) -> None:
    with engine.begin() as connection:
        connection.execute(statement, values)


def _define(store: Store) -> None:
    """The experiment of the responses in the SQL."""
    arms = tuple(ArmDefinition(f"arm-{i}", 0.5, {"a": 0.25, "b": 0.75}) for i in range(2))
    definition = Definition(
        name="experiment",
        salt="experiment",
        layer="default",
        users=(0, 1),
        eligible="all",
        start=_BEGIN,
        end=_BEGIN + _DAYS * _DAY_S,
        control="arm-0",
        arms=arms,
        gpus={},
        session_gap_s=_GAP_S,
        day_s=_DAY_S,
        simulated=True,
    )
    store.add([ExperimentRecord("experiment", definition.version, _BEGIN, definition.to_json())])


def _asked(url: str, *question: str) -> tuple[float, float]:
    """Seconds that a command of `blended` takes, and its peak of memory in MiB."""
    blended = str(Path(sys.executable).with_name("blended"))
    command = [blended, *question, "--journal", url, "--json"]
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as running:
        _, status, used = os.wait4(running.pid, 0)
        running.returncode = os.waitstatus_to_exitcode(status)
    if running.returncode:
        raise subprocess.CalledProcessError(running.returncode, command)
    return round(time.perf_counter() - began, 1), round(used.ru_maxrss / 1024, 1)


def _aggregate(store: Store) -> int:
    return sum(len(rows) for rows in store.stream(user_days(_BEGIN, _END, _GAP_S), 10_000))


def _timed(action: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    outcome = action()
    return round(time.perf_counter() - began, 1), outcome


def _peak_mib() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


if __name__ == "__main__":
    main()
