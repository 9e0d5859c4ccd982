"""From a ledger to figures, a table and the sentences that decide the exit status.

The knee is the largest measured load whose goodput keeps the level: of the parts that a run is cut
into (the steps of its shape), the one with the most responses begun per second among those of
which at least `GOODPUT` kept the service level. It is bracketed when a larger load missed it; else
the run has not reached the knee, which lies beyond.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from loadtests.users.tally import Ledger, Outcome, Tally

# The share of the responses that have to keep the service level.
GOODPUT = 0.99
# A part of a run is this many slots; the first one is left out, because the load settles.
SLOTS_PER_PART = 3
# A share of fewer responses is too uncertain for a level of 99 in 100.
_FEWEST = 30

Figures = dict[str, Any]
# The kinds of groups in the table.
KINDS = ("component", "turn", "hand-off", "model")


@dataclass(frozen=True)
class Limits:
    """The limits of a Locust process: its share of a CPU, and its delay (99th percentile)."""

    cpu: float
    lag_ms: float


def figures(tally: Tally) -> Figures:
    """A group's figures: `goodput` is the share of the finished and failed that kept the level.

    Abandoned and unfinished responses are counted and in no other figure.
    """
    counts = tally.counts
    of = counts["finished"] + counts["failed"]
    return {
        "responses": tally.responses,
        **{name: counts[name] for name in get_args(Outcome)},
        "tokens": counts["tokens"],
        "goodput": counts["good"] / of if of else None,
        "ttft_ms": _quantiles(tally.ttft.quantile),
        "itl_ms": _quantiles(tally.itl.quantile),
        "tpot_ms": _quantiles(tally.tpot.quantile),
        "e2e_ms": _quantiles(tally.e2e.quantile),
    }


def groups(ledger: Ledger) -> Figures:
    """The figures of all responses, and by component, turn, hand-off and model; and the shares.

    The hand-off of a response tells whether the component that answered had answered before.
    """
    drawn = {name: tally.responses for name, tally in ledger.named("share").items()}
    return {
        "all": figures(ledger.tally("all")),
        "by_component": {n: figures(t) for n, t in ledger.named("component").items()},
        "by_turn": {n: figures(t) for n, t in ledger.named("turn").items()},
        "by_hand_off": {n: figures(t) for n, t in ledger.named("hand-off").items()},
        "by_model": {n: figures(t) for n, t in ledger.named("model").items()},
        "shares": {name: responses / sum(drawn.values()) for name, responses in drawn.items()},
    }


def by(document: Mapping[str, Any], kind: str) -> Mapping[str, Figures]:
    """The groups of one of the `KINDS`; results of earlier versions may lack it."""
    found: Mapping[str, Figures] = document.get(f"by_{kind.replace('-', '_')}", {})
    return found


def parts(ledger: Ledger, seconds: float) -> list[Figures]:
    """The run's parts in the order of time, each with its load, less its first third.

    A run without an end has none.
    """
    if math.isinf(seconds):
        return []
    count = round(seconds / ledger.slot_s / SLOTS_PER_PART)
    kept_s = (SLOTS_PER_PART - 1) * ledger.slot_s
    found = []
    for part in range(count):
        first, end = part * SLOTS_PER_PART + 1, (part + 1) * SLOTS_PER_PART
        of = figures(ledger.between(first, end))
        load = {"from_s": first * ledger.slot_s, "responses_per_s": of["responses"] / kept_s}
        found.append({**load, **of})
    return found


def knee(found: Sequence[Figures]) -> Figures | None:
    """The load and the first tokens at the knee; None when no measured load keeps the level."""
    measured = [part for part in found if part["responses"] >= _FEWEST]
    kept = [part for part in measured if (part["goodput"] or 0) >= GOODPUT]
    if not kept:
        return None
    best = max(kept, key=lambda part: part["responses_per_s"])
    larger = [part for part in measured if part["responses_per_s"] > best["responses_per_s"]]
    chosen = {name: best[name] for name in ("responses_per_s", "goodput", "ttft_ms", "tpot_ms")}
    return {**chosen, "is_bracketed": bool(larger)}


def is_search(document: Mapping[str, Any]) -> bool:
    """Whether the load grew, so that a knee could be found."""
    return document["load"]["shape"] in ("ramp", "step")


def knee_sentence(document: Mapping[str, Any]) -> str:
    """The knee of a load that grew, or why none was found."""
    if at := document["knee"]:
        beyond = "" if at["is_bracketed"] else ", or beyond: no larger load was measured"
        return f"Knee: {at['responses_per_s']:.2f} responses/s{beyond}."
    if all(part["responses"] < _FEWEST for part in document["parts"]):
        return (
            f"No knee can be told: no step had the {_FEWEST} responses that a share of "
            f"{GOODPUT:.0%} needs; make the run longer, or its --steps fewer."
        )
    return "No knee: not even the smallest load kept the level."


def missed(document: Mapping[str, Any]) -> Iterator[str]:
    """That the service level was missed, if it was."""
    level, goodput = document["level"], document["all"]["goodput"] or 0.0
    has_level = level["first_token_ms"] or level["between_tokens_ms"]
    if has_level and goodput < GOODPUT:
        yield f"The level was missed: fewer than {GOODPUT:.0%} of the responses kept it."


def refusals(clients: Sequence[Mapping[str, Any]], limits: Limits) -> Iterator[str]:
    """The reasons why the figures are invalid: Locust's processes that were too slow."""
    for process in clients:
        yield from _bottleneck(process, limits)


def _bottleneck(process: Mapping[str, Any], limits: Limits) -> Iterator[str]:
    name, cpu, lag = process["process"], process["cpu"], process["lag_p99_ms"]
    remedy = "measure with more workers, or on another machine"
    if cpu > limits.cpu:
        yield (
            f"Refused: Locust's process {name} took {cpu:.0%} of a CPU (at most {limits.cpu:.0%}), "
            f"so that it was the bottleneck; {remedy}."
        )
    if lag > limits.lag_ms:
        yield (
            f"Refused: one in a hundred events of Locust's process {name} came {lag:.0f} ms late "
            f"(at most {limits.lag_ms:g}), so that it measured itself; {remedy}."
        )


def verdict(document: Mapping[str, Any]) -> str:
    """How many responses kept the level."""
    level, found = document["level"], document["all"]
    bounds = [
        f"{name} within {ms:g} ms"
        for name, ms in (
            ("first token", level["first_token_ms"]),
            ("between tokens", level["between_tokens_ms"]),
        )
        if ms
    ]
    of = found["finished"] + found["failed"]
    share = found["goodput"] or 0.0
    kept = f"kept the level ({', '.join(bounds)})" if bounds else "finished"
    return f"{share:.2%} of {of} responses {kept}."


def table(document: Mapping[str, Any]) -> str:
    """A line for each group; times in ms as p50 / p99."""
    heads = (
        "p50 / p99 in ms",
        "responses",
        "failed",
        "abandoned",
        "goodput",
        *map(str.upper, _TIMES),
    )
    rows = [heads, _row("all", document["all"])]
    for kind in KINDS:
        rows += [_row(f"{kind} {n}", of) for n, of in by(document, kind).items()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows
    )


def _row(name: str, of: Mapping[str, Any]) -> tuple[str, ...]:
    goodput = "-" if of["goodput"] is None else f"{of['goodput']:.2%}"
    counts = (str(of["responses"]), str(of["failed"]), str(of["abandoned"]))
    return (name, *counts, goodput, *map(_cell, (of[f"{n}_ms"] for n in _TIMES)))


_TIMES = ("ttft", "itl", "tpot", "e2e")


def _cell(times: Mapping[str, float] | None) -> str:
    return "-" if times is None else f"{times['p50']:.4g} / {times['p99']:.4g}"


def _quantiles(quantile: Any) -> dict[str, float] | None:
    found = {f"p{100 * share:.0f}": quantile(share) for share in (0.5, 0.99)}
    if None in found.values():
        return None
    return {name: round(1e3 * seconds, 3) for name, seconds in found.items()}


def describe(document: Mapping[str, Any]) -> Iterable[str]:
    """The run in sentences: its loop, its knee, and the load of the client."""
    load = document["load"]
    if load["loop"] == "closed":
        what = f"{load['users']} users, who wait for their responses"
    elif load["replay"]:
        what = f"{load['replay']}, {load['speed']:g} times as fast"
    else:
        what = (
            f"up to {load['rate_per_s']:.3g} new conversations per second, however slow the "
            "answers are"
        )
    yield f"{load['loop'].capitalize()} loop, {load['shape']}: {what}."
    if is_search(document):
        yield knee_sentence(document)
    for process in document["client"]:
        cpu, lag = process["cpu"], process["lag_p99_ms"]
        yield (
            f"Locust's process {process['process']}: {cpu:.0%} of a CPU in its busiest seconds, "
            f"events {lag:.1f} ms late (p99)."
        )
