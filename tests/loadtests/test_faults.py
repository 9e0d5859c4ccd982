"""What clients notice of a fault is counted right, on loads whose truth is known."""

from typing import Any

from loadtests.faults.parts import PARTS
from loadtests.faults.strike import noticed
from loadtests.harness.fixed_rate import End, Result


def result(started_s: float, end: End = "finished", **fields: Any) -> Result:
    """A response that took a tenth of a second."""
    known: dict[str, Any] = {"stream": False, "took_ms": 100, "ttft_ms": 100, "status": 200}
    return Result(end=end, started_s=started_s, headers={}, **(known | fields))


def test_the_longest_wait_is_for_a_first_byte_or_for_the_end_without_one() -> None:
    """A long stream that began at once does not count; a connection that broke late does."""
    long_stream = result(0.0, stream=True, took_ms=60_000, ttft_ms=20)
    broken = result(1.0, "cut", took_ms=9_000, ttft_ms=None, status=0)

    assert noticed([long_stream, result(0.5)], lost=0).longest_s == 0.1
    assert noticed([long_stream, broken], lost=0).longest_s == 9


def test_a_stream_that_says_that_it_failed_is_not_silent() -> None:
    """A broken connection and an end without a word are; before it has begun, a stream fails."""
    ends: tuple[End, ...] = ("finished", "error_event", "cut", "silent")
    streams = [result(at, end, stream=True) for at, end in enumerate(ends)]
    nothing = [result(9, end, stream=True, status=0) for end in ends[2:]]

    assert noticed(streams, lost=0).silent == 2
    assert noticed(streams, lost=0).failed == 0
    assert noticed(nothing, lost=0).silent == 0
    assert noticed(nothing, lost=0).failed == 2


def test_a_whole_answer_that_does_not_come_has_failed() -> None:
    """Refused or broken off; records that are lost are passed on."""
    ends: tuple[End, ...] = ("finished", "refused", "cut")
    found = noticed([result(at, end) for at, end in enumerate(ends)], lost=4)

    assert (found.responses, found.failed, found.silent, found.lost) == (3, 2, 0, 4)


def test_every_part_has_a_name_of_its_own() -> None:
    """The seven parts of the matrix."""
    assert len({part.name for part in PARTS}) == 7
