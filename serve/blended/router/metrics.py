"""The metrics of a router replica, by Ray Serve's metrics; this module holds all their names.

Prometheus shows them as `ray_<name>`, counters with the suffix `_total`. No tag ever holds a user
or a conversation.
"""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

from ray.serve import metrics

from blended.config import BlendConfig
from blended.config.experiments import NO_ARM
from blended.journal.records import ResponseRecord
from blended.journal.spool import SpoolStatus
from blended.router import policies
from blended.router.blend import Blend
from blended.router.readers import Outcome

NONE = "none"

_TTFT_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30)
_ITL_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1)
_E2E_S = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_ROUTER_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1)


@dataclass(frozen=True)
class Metric:
    """A metric: its name and help, its tags, and the upper bounds of a histogram's buckets."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    tags: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()


RESPONSES = Metric(
    "blended_responses",
    "counter",
    "Responses by the component that answered (`none`: nobody did), the user's arm, and their end.",
    ("component", "arm", "state"),
)
DRAWS = Metric(
    "blended_draws",
    "counter",
    "Responses to the blend's own name, by the component that answered (`none`: nobody did) and "
    "the one that was drawn first; without those whose needs not every component has or that a "
    "policy drew, and where conversations have seats, those of first turns only.",
    ("component", "drawn", "arm"),
)
ATTEMPTS = Metric(
    "blended_attempts",
    "counter",
    "Times that a component was asked: `answered`, or why not (full, unavailable, late, refused, "
    "broken).",
    ("component", "outcome"),
)
REPLACEMENTS = Metric(
    "blended_replacements",
    "counter",
    "Responses that the first choice did not give: by another replica of it (`spilled`), by a "
    "component drawn anew (`redrawn`), or by nobody (`none`).",
    ("how",),
)
TOKENS = Metric(
    "blended_tokens",
    "counter",
    "Tokens: of prompts, of prompts met in the prefix cache (part of the former), of responses.",
    ("component", "kind"),
)
REFUSALS = Metric(
    "blended_refusals",
    "counter",
    "Requests refused before a component was drawn, by HTTP status and error code; "
    "`rate_limit_exceeded` is a key's limit.",
    ("status", "code"),
)
TTFT = Metric(
    "blended_ttft_seconds",
    "histogram",
    "From the request to the first byte of the response, at the router.",
    ("component", "arm", "turn"),
    _TTFT_S,
)
ITL = Metric(
    "blended_itl_seconds",
    "histogram",
    "Mean time between the pieces of a stream, one observation for each response.",
    ("component", "arm"),
    _ITL_S,
)
E2E = Metric(
    "blended_e2e_seconds",
    "histogram",
    "From the request to the end of the response, at the router.",
    ("component", "arm"),
    _E2E_S,
)
ROUTER = Metric(
    "blended_router_seconds",
    "histogram",
    "The part of a response's time that was not spent waiting for the component that answered.",
    (),
    _ROUTER_S,
)
LOOK_AHEAD = Metric(
    "blended_look_ahead",
    "counter",
    "Conversations that a component was `asked` to read ahead, and what came of it: `dropped` "
    "because the component refused or failed, and at the next request `used` if it answered, else "
    "`unused`; without either no request came. `busy` when it had no time and was not asked, and "
    "`no_store` (of no component) while the shared store does not answer.",
    ("component", "outcome"),
)
LOOK_AHEAD_TOKENS = Metric(
    "blended_look_ahead_tokens",
    "counter",
    "Prompt tokens that a component computed reading ahead.",
    ("component",),
)
CANDIDATES = Metric(
    "blended_best_of",
    "counter",
    "Responses with several candidates, by what chose: `reward`, or `first`, because the reward "
    "model was late, full, unavailable or broken, or because the candidates were equal.",
    ("component", "chosen_by", "reason"),
)
REJECTED = Metric(
    "blended_rejected_tokens",
    "counter",
    "Tokens of candidates that were not chosen, part of those of responses.",
    ("component",),
)
POLICY = Metric(
    "blended_policy",
    "counter",
    "Draws that a policy was asked for, by its name and version: `used`, or why the weights "
    "decided: `late`, `failed`, or `missing` because its file could not be read.",
    ("policy", "outcome"),
)
SHARE = Metric(
    "blended_share",
    "gauge",
    "The probability with which the weights draw a component.",
    ("component",),
)
GPUS = Metric(
    "blended_component_gpus", "gauge", "GPUs that one replica of a component takes.", ("component",)
)
AVAILABLE = Metric(
    "blended_component_available",
    "gauge",
    "Whether a router replica takes a component to be available: 1 or 0.",
    ("component",),
)
SPOOL_BYTES = Metric(
    "blended_spool_bytes", "gauge", "Bytes of records that wait for the journal's database."
)
SPOOL_AGE = Metric(
    "blended_spool_age_seconds", "gauge", "How long the oldest of these records has waited."
)
DROPPED = Metric(
    "blended_spool_dropped",
    "counter",
    "What a full spool had to give up: `content` of records, whole `records`.",
    ("what",),
)

METRICS = (
    RESPONSES,
    DRAWS,
    ATTEMPTS,
    REPLACEMENTS,
    TOKENS,
    REFUSALS,
    TTFT,
    ITL,
    E2E,
    ROUTER,
    LOOK_AHEAD,
    LOOK_AHEAD_TOKENS,
    CANDIDATES,
    REJECTED,
    POLICY,
    SHARE,
    GPUS,
    AVAILABLE,
    SPOOL_BYTES,
    SPOOL_AGE,
    DROPPED,
)


class Telemetry:
    """Counts in the replica's memory and reports to Ray once a second.

    A call of Ray's metrics costs some microseconds; several would cost a few percent of a request.
    """

    def __init__(self) -> None:
        self._counters = {m.name: _Counter(m) for m in METRICS if m.kind == "counter"}
        self._histograms = {m.name: _Histogram(m) for m in METRICS if m.kind == "histogram"}
        self._gauges = {
            m.name: metrics.Gauge(m.name, m.help, tag_keys=_keys(m))
            for m in METRICS
            if m.kind == "gauge"
        }
        self._shown = set[str]()

    def ended(self, record: ResponseRecord, blend: BlendConfig) -> None:
        """Count a response."""
        component, arm = record.component or NONE, record.arm or NO_ARM
        self._count(RESPONSES, component, arm, record.state)
        if is_by_weight(record, blend):
            self._count(DRAWS, component, record.drawn, arm)
        self._attempted(record, component)
        for kind, tokens in _tokens(record).items():
            self._count(TOKENS, component, kind, by=tokens)
        if (found := record.candidates) is not None:
            self._count(CANDIDATES, component, found["chosen_by"], found["reason"] or NONE)
            self._count(REJECTED, component, by=found["rejected_tokens"] or 0)
        if record.ttft_s is not None:
            self._observe(TTFT, record.ttft_s, component, arm, turn_range(record.turn))
        if record.itl_mean_s is not None:
            self._observe(ITL, record.itl_mean_s, component, arm)
        if record.state == "finished":
            self._observe(E2E, record.e2e_s, component, arm)
            self._observe(ROUTER, record.router_s)

    def refused(self, status: int, code: str | None) -> None:
        """Count a request that the router itself refused."""
        self._count(REFUSALS, str(status), code or NONE)

    def looked_ahead(self, component: str | None, outcome: Outcome, by: int) -> None:
        """Count what look-ahead has done."""
        if outcome == "tokens":
            self._count(LOOK_AHEAD_TOKENS, component or NONE, by=by)
        else:
            self._count(LOOK_AHEAD, component or NONE, outcome, by=by)

    def drew(self, policy: str, outcome: policies.Outcome) -> None:
        """Count what came of a policy."""
        self._count(POLICY, policy, outcome)

    def spooled(self, status: SpoolStatus, before: SpoolStatus | None) -> None:
        """Report the spool's size and age, and the records and texts dropped since `before`."""
        self._gauges[SPOOL_BYTES.name].set(status.bytes)
        self._gauges[SPOOL_AGE.name].set(status.age_s)
        lost = status.dropped_records - (before.dropped_records if before else 0)
        stripped = status.dropped_contents - (before.dropped_contents if before else 0)
        # The counts of a new spool start at zero.
        self._count(DROPPED, "records", by=max(0, lost))
        self._count(DROPPED, "content", by=max(0, stripped))

    def configured(self, blend: Blend, out: Collection[str]) -> None:
        """Report a blend's distribution, and which of its components are out of the draw."""
        shares = blend.distribution.by_component
        self._shown |= shares.keys()
        for component in self._shown - shares.keys():
            self._gauges[SHARE.name].set(0, {"component": component})
        for component, share in shares.items():
            tags = {"component": component}
            self._gauges[SHARE.name].set(share, tags)
            self._gauges[GPUS.name].set(blend.upstreams[component].gpus, tags)
            self._gauges[AVAILABLE.name].set(component not in out, tags)

    def report(self) -> None:
        """Report to Ray what was counted since the last report."""
        for counter in self._counters.values():
            counter.report()
        for histogram in self._histograms.values():
            histogram.report()

    def _attempted(self, record: ResponseRecord, component: str) -> None:
        for failure in record.failures:
            self._count(ATTEMPTS, failure["component"], failure["reason"])
        if record.component is not None:
            self._count(ATTEMPTS, component, "answered")
        if record.failures or record.component not in (None, record.drawn):
            same = "spilled" if record.component == record.drawn else "redrawn"
            self._count(REPLACEMENTS, same if record.component is not None else NONE)

    def _count(self, metric: Metric, *tags: str, by: int = 1) -> None:
        self._counters[metric.name].new[tags] += by

    def _observe(self, metric: Metric, value: float, *tags: str) -> None:
        self._histograms[metric.name].new.append((value, tags))


def is_by_weight(record: ResponseRecord, blend: BlendConfig) -> bool:
    """Whether a response was drawn by the weights, independently of others.

    Draws among the seats of one conversation depend on its seats, and so on each other. A policy
    follows no weights.
    """
    has_seats = blend.selection.per_conversation is not None
    is_drawn = record.model == blend.name and not record.needs and record.policy is None
    return is_drawn and (record.turn <= 1 or not has_seats)


def turn_range(turn: int) -> str:
    """The range of a turn, for a tag: few ranges bound the number of series."""
    bounds = ((1, "1"), (3, "2-3"), (7, "4-7"), (15, "8-15"))
    return next((name for last, name in bounds if turn <= last), "16+")


def _tokens(record: ResponseRecord) -> dict[str, int]:
    counts = {
        "prompt": record.prompt_tokens,
        "cached": record.cached_tokens,
        "response": record.completion_tokens,
    }
    return {kind: count for kind, count in counts.items() if count}


def _keys(metric: Metric) -> Any:
    return metric.tags  # Ray's own hint says that there is exactly one


class _Counter:
    def __init__(self, metric: Metric) -> None:
        self._tags = metric.tags
        self._counter = metrics.Counter(metric.name, metric.help, tag_keys=_keys(metric))
        self.new = Counter[tuple[str, ...]]()

    def report(self) -> None:
        new, self.new = self.new, Counter()
        for tags, count in new.items():
            if count:
                self._counter.inc(count, dict(zip(self._tags, tags, strict=True)))


class _Histogram:
    def __init__(self, metric: Metric) -> None:
        self._tags = metric.tags
        self._histogram = metrics.Histogram(
            metric.name, metric.help, boundaries=list(metric.bounds), tag_keys=_keys(metric)
        )
        self.new = list[tuple[float, tuple[str, ...]]]()

    def report(self) -> None:
        new, self.new = self.new, []
        for value, tags in new:
            self._histogram.observe(value, dict(zip(self._tags, tags, strict=True)))
