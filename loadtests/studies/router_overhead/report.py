"""From passes to figures, a table, comparisons and the result as JSON: pure functions."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loadtests.harness.load_generator import Sample
from loadtests.harness.percentiles import middle, minus, over

ROUTER_BASELINES = {"blended": "bare", "blended_local": "bare", "vllm_blended": "vllm_bare"}
# Their upstream is a real engine, so that only they can be compared with each other.
ON_ENGINE = {"vllm_bare", "vllm_blended"}


@dataclass(frozen=True)
class Measure:
    """One kind of response (unary, paced, burst) at one number of clients, for some seconds."""

    kind: str
    clients: int
    seconds: float


@dataclass(frozen=True)
class Pass:
    """One measure of one target, once; the load average is the machine's when it began.

    `cpu_ms` is the CPU time of its processes per response, by role; `chats` is how many requests
    reached each model of the simulated upstream.
    """

    target: str
    measure: Measure
    load_average: float
    cpu_ms: Mapping[str, float]
    chats: Mapping[str, int]
    sample: Sample


def figures(passes: Sequence[Pass]) -> dict[str, Any]:
    """A target's figures: medians of its passes, null where there is none."""

    def median(kind: str, clients: int, of: Callable[[Pass], float | None]) -> float | None:
        chosen = [p for p in passes if (p.measure.kind, p.measure.clients) == (kind, clients)]
        return _rounded(middle(of(p) for p in chosen if p.sample.responses))

    def by_clients(kind: str, of: Callable[[Pass], float | None]) -> dict[str, float | None]:
        return {str(clients): median(kind, clients, of) for clients in (1, 32)}

    def by_role(kind: str) -> dict[str, float | None]:
        roles = sorted({role for p in passes for role in p.cpu_ms})
        return {role: median(kind, 32, _cpu_ms(role)) for role in roles}

    itl_p50_ms = by_clients("paced", lambda p: _times(p, "itl_ms", "p50"))
    return {
        "unary_p50_ms": by_clients("unary", lambda p: _times(p, "total_ms", "p50")),
        "unary_p99_ms": by_clients("unary", lambda p: _times(p, "total_ms", "p99")),
        "unary_rps": median("unary", 32, lambda p: p.sample.per_s),
        "ttft_p50_ms": by_clients("paced", lambda p: _times(p, "ttft_ms", "p50")),
        "ttft_p99_ms": by_clients("paced", lambda p: _times(p, "ttft_ms", "p99")),
        "itl_p50_ms": itl_p50_ms["32"],
        "itl_p50_ms_by_clients": itl_p50_ms,
        "itl_p99_ms_by_clients": by_clients("paced", lambda p: _times(p, "itl_ms", "p99")),
        "streams_per_s": median("burst", 32, lambda p: p.sample.per_s),
        "router_cpu_ms_per_request": median("unary", 32, _cpu_ms("router")),
        "router_cpu_ms_per_stream": median("paced", 32, _cpu_ms("router")),
        "cpu_ms_per_stream": by_role("paced"),
        "cpu_ms_per_burst": by_role("burst"),
        "shares": _shares(passes),
        "load_average": _rounded(middle(p.load_average for p in passes)),
        "failures": sum(p.sample.failures for p in passes),
        "failure": next((p.sample.failure for p in passes if p.sample.failure), None),
    }


def comparison(targets: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The times that Blended adds to its upstream, and its streams per second over the others'."""
    compared = {}
    for name, baseline in ROUTER_BASELINES.items():
        if name not in targets or baseline not in targets:
            continue
        own, base = targets[name], targets[baseline]
        real = name in ON_ENGINE
        others = [t for t in targets if t not in ROUTER_BASELINES and (t in ON_ENGINE) == real]
        compared[name] = {
            "over": baseline,
            "ttft_p50_ms": _differences(own, base, "ttft_p50_ms"),
            "itl_p50_ms": _differences(own, base, "itl_p50_ms_by_clients"),
            "unary_p50_ms": _differences(own, base, "unary_p50_ms"),
            "streams_per_s_ratio": {
                other: _rounded(over(own["streams_per_s"], targets[other]["streams_per_s"]))
                for other in others
            },
        }
    return compared


COLUMNS: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {
    "unary p50 1": lambda f: f["unary_p50_ms"]["1"],
    "p99": lambda f: f["unary_p99_ms"]["1"],
    "p50 32": lambda f: f["unary_p50_ms"]["32"],
    "p99 ": lambda f: f["unary_p99_ms"]["32"],
    "req/s": lambda f: f["unary_rps"],
    "cpu/req": lambda f: f["router_cpu_ms_per_request"],
    "TTFT p50 1": lambda f: f["ttft_p50_ms"]["1"],
    "p50 32 ": lambda f: f["ttft_p50_ms"]["32"],
    "p99 32": lambda f: f["ttft_p99_ms"]["32"],
    "ITL p50 32": lambda f: f["itl_p50_ms"],
    "p99 32 ": lambda f: f["itl_p99_ms_by_clients"]["32"],
    "cpu/stream": lambda f: f["router_cpu_ms_per_stream"],
    "haproxy": lambda f: f["cpu_ms_per_stream"].get("haproxy"),
    "streams/s": lambda f: f["streams_per_s"],
    "failed": lambda f: f["failures"],
    "load": lambda f: f["load_average"],
}


def table(targets: Mapping[str, Mapping[str, Any]]) -> str:
    """A line for each target; times in ms, '-' where it has no such figure."""
    rows = [["", *(title.strip() for title in COLUMNS)]]
    rows += [[name, *(_cell(of(f)) for of in COLUMNS.values())] for name, f in targets.items()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows
    )


def comparison_lines(compared: Mapping[str, Mapping[str, Any]]) -> Iterable[str]:
    """The comparisons as sentences."""
    for name, c in compared.items():
        added = ", ".join(
            f"{title} p50 {_signed(c[key]['1'])} ms at 1 client and {_signed(c[key]['32'])} at 32"
            for title, key in (("TTFT", "ttft_p50_ms"), ("ITL", "itl_p50_ms"))
        )
        yield f"{name} over {c['over']}: {added}."
        ratios = ", ".join(f"{_cell(r)} of {o}" for o, r in c["streams_per_s_ratio"].items() if r)
        yield f"{name} streams/s: {ratios or 'nothing to compare with'}."


def result(
    targets: Mapping[str, Mapping[str, Any]],
    load_average: Mapping[str, float],
    unavailable: Mapping[str, str],
) -> dict[str, Any]:
    """The last line of the output."""
    return {
        "load_average": dict(load_average),
        "targets": dict(targets),
        "comparison": comparison(targets),
        "unavailable": dict(unavailable),
    }


def _cpu_ms(role: str) -> Callable[[Pass], float | None]:
    return lambda one: one.cpu_ms.get(role)


def _shares(passes: Sequence[Pass]) -> dict[str, float | None] | None:
    chats: Counter[str] = Counter()
    for one in passes:
        chats.update(one.chats)
    total = chats.total()
    return {model: _rounded(count / total) for model, count in chats.items()} if total else None


def _times(one: Pass, what: str, quantile: str) -> float | None:
    quantiles = getattr(one.sample, what)
    return quantiles[quantile] if quantiles else None


def _differences(
    own: Mapping[str, Any], base: Mapping[str, Any], key: str
) -> dict[str, float | None]:
    return {clients: _rounded(minus(own[key][clients], base[key][clients])) for clients in own[key]}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.{0 if value >= 100 else 2}f}"


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.2f}"
