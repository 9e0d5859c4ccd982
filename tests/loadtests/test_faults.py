"""What clients notice of a fault is counted right, on loads whose truth is known."""

from typing import Any

from loadtests.faults.parts import PARTS
from loadtests.faults.strike import noticed
from loadtests.harness.fixed_rate import End, Result


def result(started_s: float, end: End = "finished", **fields: Any) -> Result:
    """A response that took a tenth of a second."""
    known: dict[str, Any] = {"stream": False, "took_ms": 100, "ttft_ms": 100, "status": 200}
    return Result(end=end, started_s=started_s, headers={}, **(known | fields))


def test_the_longest_time_without_a_response_is_between_two_of_them() -> None:
    """Also before the first one; a refusal is no response."""
    answered = [result(at) for at in (0.0, 0.1, 3.0)]
    refused = result(1.5, "refused", status=503)

    assert noticed([*answered, refused], lost=0).longest_s == 2.9
    assert noticed([result(5.0)], lost=0).longest_s == 5.1


def test_a_stream_that_says_that_it_failed_is_not_silent() -> None:
    """An error event is none; a broken connection, an end without a word and a refusal are."""
    ends: tuple[End, ...] = ("finished", "error_event", "cut", "silent", "refused")
    streams = [result(at, end, stream=True) for at, end in enumerate(ends)]

    assert noticed(streams, lost=0).silent == 3
    assert noticed(streams, lost=0).failed == 0


def test_a_whole_answer_that_does_not_come_has_failed() -> None:
    """Refused or broken off; records that are lost are passed on."""
    ends: tuple[End, ...] = ("finished", "refused", "cut")
    found = noticed([result(at, end) for at, end in enumerate(ends)], lost=4)

    assert (found.responses, found.failed, found.silent, found.lost) == (3, 2, 0, 4)


def test_every_part_has_a_name_of_its_own() -> None:
    """The seven parts of the matrix."""
    assert len({part.name for part in PARTS}) == 7
