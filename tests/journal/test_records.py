"""Records as lines."""

import json
from typing import Any

import pytest

from blended.journal.records import SCHEMA_VERSION, FeedbackRecord, Record, from_line, to_line
from tests.journal.samples import response

CONTENT = {"messages": [{"role": "user", "content": 'Zürich "\u0000\ud800\n'}], "response": ["x"]}


def test_a_record_survives_its_line() -> None:
    """What is read from a line equals what was written to it, whatever texts it holds."""
    records: list[Record] = [
        response(content=CONTENT),
        response(component=None, propensity=None, failures=[{"component": "a", "reason": "late"}]),
        FeedbackRecord("chatcmpl-1", 1.0, "comment", 2.0, text="nul \u0000 and line\nbreak"),
    ]

    lines = [to_line(record) for record in records]

    assert [from_line(line) for line in lines] == records
    assert all(line.isascii() and "\n" not in line for line in lines)


def test_fields_of_a_later_version_are_left_out() -> None:
    """A field that this version does not know costs nothing of the rest."""
    line = json.dumps(json.loads(to_line(response())) | {"colour": "blue"})

    assert from_line(line) == response()


def test_a_record_of_an_earlier_version_lacks_what_came_later() -> None:
    """It is read, and what nobody wrote is unknown."""
    written = json.loads(to_line(response()))
    later = ("needs", "left", "ahead", "policy", "facts")
    missing: dict[str, Any] = dict.fromkeys(later)
    for name in later:
        del written[name]

    assert from_line(json.dumps(written)) == response(**missing)


@pytest.mark.parametrize("line", ["", "[]", "{}", '{"record": "other"}', '{"record": "response"}'])
def test_a_line_that_is_no_record_is_refused(line: str) -> None:
    """Anything but a record raises ValueError."""
    with pytest.raises(ValueError, match="no record of the journal"):
        from_line(line)


def test_a_newer_schema_is_refused() -> None:
    """A record whose meaning may have changed is not guessed at."""
    with pytest.raises(ValueError, match="update it"):
        from_line(to_line(response(schema_version=SCHEMA_VERSION + 1)))
