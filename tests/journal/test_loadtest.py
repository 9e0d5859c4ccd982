"""The journal's load test, at a size that takes a moment."""

import json
import subprocess
import sys

import pytest


def test_it_measures_and_prints_json_last() -> None:
    """Every response is aggregated, reported and exported; users are as many as asked for."""
    done = subprocess.run(
        [sys.executable, "-m", "loadtests.studies.journal", "--rows", "2000", "--users", "200"],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )

    result = json.loads(done.stdout.splitlines()[-1])
    assert result["rows"]["responses"] == 2000
    assert 200 < result["user_days"] <= 400
    assert len(result["aggregate_s"]) == 3
    assert result["report_s"] > 0
    # Four fifths of the turns, and a retry in twenty: within seven standard deviations.
    assert result["rows"]["feedback"] == pytest.approx(1700, abs=70)
