"""From passes to the table and the last line of the output."""

import json
from dataclasses import replace

import pytest

from loadtests.harness.load_generator import Sample
from loadtests.harness.percentiles import Quantiles
from loadtests.studies.router_overhead import report
from loadtests.studies.router_overhead.report import Measure, Pass

PACED = Measure("paced", 32, 1.0)
SAMPLE = Sample(10, 0, "", 100.0, None, None, None, 100.0)


def passed(target: str, kind: str, clients: int, ms: float, per_s: float = 100.0) -> Pass:
    """A pass all of whose times are the same."""
    times: Quantiles = {"p50": ms, "p99": 2 * ms}
    streamed = None if kind == "unary" else times
    sample = Sample(10, 0, "", per_s, times, streamed, streamed, per_s)
    cpu_ms = {"router": ms / 10, "rest": 1.0}
    return Pass(target, Measure(kind, clients, 1.0), 0.5, cpu_ms, {"a": 3, "b": 1}, sample)


def battery(target: str, ms: float, per_s: float = 100.0) -> list[Pass]:
    """Every measure of a target once."""
    measures = [("unary", 1), ("unary", 32), ("paced", 1), ("paced", 32), ("burst", 32)]
    return [passed(target, kind, clients, ms, per_s) for kind, clients in measures]


def test_figures_are_medians_over_passes() -> None:
    """One pass among three that somebody disturbed does not count."""
    passes = [*battery("x", 2), *battery("x", 90), *battery("x", 3)]

    figures = report.figures(passes)

    assert figures["ttft_p50_ms"] == {"1": 3, "32": 3}
    assert figures["unary_p99_ms"] == {"1": 6, "32": 6}
    assert figures["itl_p50_ms"] == 3
    assert figures["router_cpu_ms_per_stream"] == 0.3
    assert figures["cpu_ms_per_stream"] == {"router": 0.3, "rest": 1.0}
    assert figures["shares"] == {"a": 0.75, "b": 0.25}


def test_what_never_answered_has_no_figures() -> None:
    """Its failure is told, and every figure is null rather than zero."""
    failed = replace(SAMPLE, responses=0, failures=7, failure="HTTP 500", per_s=0.0)
    one = Pass("x", PACED, 0.5, {"router": 30.0}, {"a": 0}, failed)

    figures = report.figures([one])

    assert figures["router_cpu_ms_per_stream"] is None
    assert figures["streams_per_s"] is None
    assert figures["shares"] is None
    assert (figures["failures"], figures["failure"]) == (7, "HTTP 500")


def test_blended_is_compared_with_what_is_behind_it() -> None:
    """Differences of medians in milliseconds, and streams per second over those of its upstream."""
    targets = {
        "bare": report.figures(battery("bare", 1, per_s=1000)),
        "blended": report.figures(battery("blended", 4, per_s=300)),
        "peer": report.figures(battery("peer", 9, per_s=200)),
        "vllm_bare": report.figures(battery("vllm_bare", 5, per_s=10)),
    }

    compared = report.comparison(targets)

    assert compared["blended"]["ttft_p50_ms"] == {"1": 3, "32": 3}
    assert compared["blended"]["itl_p50_ms"] == {"1": 3, "32": 3}
    assert compared["blended"]["streams_per_s_ratio"] == {"bare": 0.3, "peer": 1.5}
    first, second = report.comparison_lines(compared)
    assert "TTFT p50 +3.00 ms at 1 client" in first
    assert "1.50 of peer" in second


def test_the_result_is_one_line_of_json() -> None:
    """Load average, targets by name with units in their keys, and who could not take part."""
    targets = {"bare": report.figures(battery("bare", 1))}

    line = json.dumps(report.result(targets, {"before": 0.1}, {"peer": "not installed"}))

    read = json.loads(line)
    assert "\n" not in line
    assert read["load_average"] == {"before": 0.1}
    assert read["unavailable"] == {"peer": "not installed"}
    assert set(read["targets"]["bare"]) >= {
        "unary_p50_ms",
        "unary_rps",
        "ttft_p50_ms",
        "itl_p50_ms",
        "streams_per_s",
        "router_cpu_ms_per_stream",
    }


def test_the_table_has_a_line_for_each_target() -> None:
    """What a target does not have is a dash."""
    unary_only = report.figures([passed("y", "unary", 1, 2.5)])

    title, full, empty = report.table(
        {"x": report.figures(battery("x", 2.25)), "y": unary_only}
    ).split("\n")

    assert "streams/s" in title
    assert full.startswith("x ")
    assert "2.25" in full
    assert empty.count(" -") > 5
    assert len(title) == len(full) == len(empty)


@pytest.mark.parametrize("name", ["blended", "vllm_blended"])
def test_nothing_is_compared_without_its_baseline(name: str) -> None:
    """A blend whose baseline was not measured stands alone."""
    assert report.comparison({name: report.figures(battery(name, 1))}) == {}
