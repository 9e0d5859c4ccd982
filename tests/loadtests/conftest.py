"""What tests of Locust's users have in common."""

import json
from pathlib import Path

import pytest

from tests.loadtests.locust_runs import Habits


@pytest.fixture
def people(tmp_path: Path) -> Habits:
    """Makes a file of people with some habits, and returns its name."""

    def written(**habits: float) -> str:
        path = tmp_path / f"people-{len(list(tmp_path.iterdir()))}.json"
        path.write_text(json.dumps(habits))
        return str(path)

    return written
