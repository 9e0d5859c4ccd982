"""PromQL over the metrics of `blended.router.metrics`, whose names and tags stand there.

`window` is a duration as Prometheus writes it (`5m`), or Grafana's variable for one; `by` are the
labels that are kept.
"""

from blended.config.experiments import HOLDOUT
from blended.router.metrics import (
    ATTEMPTS,
    AVAILABLE,
    DRAWS,
    DROPPED,
    GPUS,
    NONE,
    RESPONSES,
    SHARE,
    TOKENS,
    Metric,
)

# Ray's own metrics. Ray reports healthy replicas every ten seconds only, and drops values that are
# two reports old, so a query has to look back. No other gauge counts requests that come directly
# from HAProxy.
_HEALTHY = "last_over_time(ray_serve_deployment_replica_healthy[1m])"
_ONGOING = "ray_serve_replica_processing_queries"
_ENGINE = "LLMServer:"

# Arms of experiments have distributions of their own; held-out users have the blend's.
_ANSWERED = f'component!="{NONE}", arm=~"{NONE}|{HOLDOUT}"'
_SIGMAS = 3
_BY_COMPONENT = ("component",)


def name(metric: Metric) -> str:
    """A metric's name in Prometheus, without the suffixes of a histogram's parts."""
    return f"ray_{metric.name}{'_total' if metric.kind == 'counter' else ''}"


def per_s(metric: Metric, window: str, by: tuple[str, ...] = (), where: str = "") -> str:
    """A counter's increase per second; `where` are conditions on its labels."""
    return f"sum{_by(by)} (rate({name(metric)}{_where(where)}[{window}]))"


def quantile(q: float, metric: Metric, window: str, by: tuple[str, ...] = ()) -> str:
    """A histogram's quantile, as close as its buckets tell."""
    buckets = f"rate({name(metric)}_bucket[{window}])"
    return f"histogram_quantile({q:g}, sum{_by(('le', *by))} ({buckets}))"


def gauge(how: str, metric: Metric, by: tuple[str, ...] = ()) -> str:
    """A gauge over all routers: `how` is min, max, avg or sum."""
    return f"{how}{_by(by)} ({name(metric)})"


def or_zero(query: str) -> str:
    """A query that gives 0 while a counter has not counted anything yet."""
    return f"{query} or on () vector(0)"


def configured_share(window: str) -> str:
    """The probability of each component, on average: it may be changed at any time."""
    return f"avg by (component) (avg_over_time({name(SHARE)}[{window}]))"


def answered(window: str) -> str:
    """Responses to the blend's own name that a component gave, outside of experiments."""
    return f"sum (increase({name(DRAWS)}{_where(_ANSWERED)}[{window}]))"


def answered_share(window: str) -> str:
    """The share of these that each component gave; 0 for a component that has never given any."""
    return f"{_answered_by(window)} / scalar({answered(window)})"


def chance(window: str, sign: str) -> str:
    """The configured share plus (`+`) or minus (`-`) three standard deviations (binomial).

    By chance alone 99.7 % of all shares are within them.
    """
    p, n = configured_share(window), f"scalar({answered(window)})"
    return f"clamp({p} {sign} {_SIGMAS} * sqrt({p} * (1 - {p}) / {n}), 0, 1)"


def deviation(window: str) -> str:
    """By how many standard deviations a component's responses are more, or fewer, than expected.

    The variance is n·p·(1-p), plus 1, so that a single response never proves a share wrong.
    """
    p, n = configured_share(window), f"scalar({answered(window)})"
    return f"({_answered_by(window)} - {n} * {p}) / sqrt({n} * {p} * (1 - {p}) + 1)"


def gpu_seconds(window: str) -> str:
    """GPU seconds that a component's healthy replicas take for 1,000 responses of it."""
    named = f'"component", "$1", "deployment", "{_ENGINE}(.+)"'
    healthy = f"sum by (component) (label_replace({_HEALTHY}, {named}))"
    gpus = f"{healthy} * on (component) {gauge('max', GPUS, _BY_COMPONENT)}"
    return f"1000 * {gpus} / on (component) {per_s(RESPONSES, window, _BY_COMPONENT)}"


def cache_hits(window: str) -> str:
    """The share of prompt tokens that the prefix cache held; 0 if it is not reported."""
    prompt = per_s(TOKENS, window, _BY_COMPONENT, 'kind="prompt"')
    cached = per_s(TOKENS, window, _BY_COMPONENT, 'kind="cached"')
    return f"({cached} or 0 * {prompt}) / {prompt}"


def failed_attempts(window: str, where: str = 'outcome!="answered"') -> str:
    """The share of a component's attempts that had an outcome."""
    some = per_s(ATTEMPTS, window, ("component", "outcome"), where)
    return f"{some} / on (component) group_left {per_s(ATTEMPTS, window, _BY_COMPONENT)}"


def failed_responses(window: str) -> str:
    """The share of all responses that failed, before their first byte or after it."""
    failed = per_s(RESPONSES, window, where='state=~"failed_.*"')
    return f"{failed} / {per_s(RESPONSES, window)}"


def dropped(window: str) -> str:
    """How much was dropped within the window.

    Not by `increase`, which starts from a counter's first value: this counter begins with the first
    loss, and there may be no second one.
    """
    now = name(DROPPED)
    return f"sum by (what) ({now} - ({now} offset {window} or 0 * {now}))"


def available(how: str) -> str:
    """Whether routers consider a component available: `min` for all of them, `max` for any."""
    return gauge(how, AVAILABLE, _BY_COMPONENT)


def ongoing() -> str:
    """The ongoing requests of each deployment."""
    return f"sum by (deployment) ({_ONGOING})"


def _answered_by(window: str) -> str:
    count = f"increase({name(DRAWS)}{_where(_ANSWERED)}[{window}])"
    return f"(sum by (component) ({count}) or 0 * {configured_share(window)})"


def _by(labels: tuple[str, ...]) -> str:
    return f" by ({', '.join(labels)})" if labels else ""


def _where(conditions: str) -> str:
    return f"{{{conditions}}}" if conditions else ""
