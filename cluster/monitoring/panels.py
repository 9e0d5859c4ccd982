"""The panels of a blend's dashboard: every graph with its queries and its description."""

from collections.abc import Sequence
from dataclasses import dataclass

from blended.router.metrics import (
    CANDIDATES,
    DRAWS,
    E2E,
    ITL,
    LOOK_AHEAD,
    LOOK_AHEAD_TOKENS,
    POLICY,
    REFUSALS,
    REJECTED,
    REPLACEMENTS,
    RESPONSES,
    ROUTER,
    SPOOL_AGE,
    SPOOL_BYTES,
    TOKENS,
    TTFT,
    Metric,
)
from cluster.monitoring import queries

WINDOW = "$window"
_BY_COMPONENT = ("component",)


@dataclass(frozen=True)
class DashboardPanel:
    """One graph: queries with the legends of their series, and a description for the reader.

    `unit` is one of Grafana's.
    """

    title: str
    description: str
    unit: str
    targets: Sequence[tuple[str, str]]


def rows() -> list[tuple[str, list[DashboardPanel]]]:
    """Panels under their headings."""
    return [
        ("Shares of components", _who()),
        ("How fast", _how_fast()),
        ("At what cost", _cost()),
        ("What goes wrong", _wrong()),
        ("Journal", _journal()),
    ]


def _who() -> list[DashboardPanel]:
    return [
        DashboardPanel(
            "Share of responses",
            "Of the responses to the blend's own name outside of experiments: the share that each "
            "component answered, the one that is configured, and the bounds that chance alone "
            "leaves in 997 of 1,000 windows. Beyond them, something redraws responses; few "
            "responses have wide bounds.",
            "percentunit",
            [
                (queries.answered_share(WINDOW), "{{component}} answered"),
                (queries.configured_share(WINDOW), "{{component}} configured"),
                (queries.chance(WINDOW, "-"), "{{component}} at least"),
                (queries.chance(WINDOW, "+"), "{{component}} at most"),
            ],
        ),
        DashboardPanel(
            "First draws",
            "How often each component was drawn first, also if another one answered.",
            "reqps",
            [(queries.or_zero(queries.per_s(DRAWS, WINDOW, ("drawn",))), "{{drawn}}")],
        ),
        DashboardPanel(
            "Draws by policies",
            "Chats whose probabilities a policy gave (used), and those that the weights decided "
            "because it was late, failed, or its file was missing.",
            "reqps",
            [(queries.or_zero(queries.per_s(POLICY, WINDOW, ("outcome",))), "{{outcome}}")],
        ),
        DashboardPanel(
            "Responses",
            "By their ends: clients left cancelled ones; components refused requests that they do "
            "not support; failed ones are counted apart by whether their clients had got a byte.",
            "reqps",
            [(queries.or_zero(queries.per_s(RESPONSES, WINDOW, ("state",))), "{{state}}")],
        ),
    ]


def _how_fast() -> list[DashboardPanel]:
    return [
        _quantiles(TTFT, "First byte", "From the request to the first byte of its response."),
        DashboardPanel(
            "First byte, p99 by turn",
            "Later turns have longer prompts; the part in the prefix cache costs little.",
            "s",
            [(queries.quantile(0.99, TTFT, WINDOW, ("turn",)), "turn {{turn}}")],
        ),
        _quantiles(ITL, "Between pieces", "The mean time between the pieces of each stream."),
        _quantiles(E2E, "Whole response", "From the request to the end of finished responses."),
        DashboardPanel(
            "Router overhead",
            "The part of a response's time that was not spent waiting for the component that "
            "answered: attempts that failed before are part of it.",
            "s",
            _both(ROUTER, (), ""),
        ),
        DashboardPanel(
            "Ongoing requests",
            "Requests that the replicas of each deployment are running; LLMServer is a component.",
            "short",
            [(queries.ongoing(), "{{deployment}}")],
        ),
    ]


def _cost() -> list[DashboardPanel]:
    return [
        DashboardPanel(
            "GPU seconds per 1,000 responses",
            "GPUs of the component's healthy replicas over its responses, whether the GPUs are "
            "busy or idle. Remote components have none here.",
            "s",
            [(queries.gpu_seconds(WINDOW), "{{component}}")],
        ),
        DashboardPanel(
            "Tokens",
            "Of prompts, of responses, and of prompts met in the prefix cache (`cached`, which "
            "`prompt` includes).",
            "short",
            [(queries.or_zero(queries.per_s(TOKENS, WINDOW, ("kind",))), "{{kind}} per second")],
        ),
        DashboardPanel(
            "Prefix cache",
            "The share of prompt tokens that did not have to be computed again; 0 also if a "
            "component does not report it.",
            "percentunit",
            [(queries.cache_hits(WINDOW), "{{component}}")],
        ),
        DashboardPanel(
            "Look-ahead",
            "Conversations that components were asked to read ahead, and what came of it: the next "
            "response used it, another component gave that response (unused), it was refused "
            "(dropped) or not asked for (busy). Conversations that end use nothing.",
            "reqps",
            [(queries.or_zero(queries.per_s(LOOK_AHEAD, WINDOW, ("outcome",))), "{{outcome}}")],
        ),
        DashboardPanel(
            "Tokens read ahead",
            "Prompt tokens that components computed between two turns of a conversation.",
            "short",
            [
                (
                    queries.or_zero(queries.per_s(LOOK_AHEAD_TOKENS, WINDOW, ("component",))),
                    "{{component}} per second",
                )
            ],
        ),
        DashboardPanel(
            "Best of several candidates",
            "Responses with several candidates, by what chose: the reward model, or the first one "
            "was taken, because the reward model was late, full, unavailable or broken, or because "
            "the candidates were equal.",
            "reqps",
            [
                (
                    queries.or_zero(queries.per_s(CANDIDATES, WINDOW, ("chosen_by", "reason"))),
                    "{{chosen_by}} {{reason}}",
                )
            ],
        ),
        DashboardPanel(
            "Tokens of rejected candidates",
            "Tokens of candidates that were not chosen, which are part of those of responses.",
            "short",
            [
                (
                    queries.or_zero(queries.per_s(REJECTED, WINDOW, ("component",))),
                    "{{component}} per second",
                )
            ],
        ),
    ]


def _wrong() -> list[DashboardPanel]:
    failed = queries.or_zero(queries.failed_attempts(WINDOW))
    return [
        DashboardPanel(
            "Attempts that failed",
            "The share of a component's attempts that gave no answer, by cause: full, unavailable, "
            "late, broken (it failed), or refused (it did not accept the router's key or account).",
            "percentunit",
            [(failed, "{{component}} {{outcome}}")],
        ),
        DashboardPanel(
            "Replacements",
            "Responses that the first choice did not give: another replica of it did (spilled), "
            "another component did (redrawn), or no component did (none).",
            "reqps",
            [(queries.or_zero(queries.per_s(REPLACEMENTS, WINDOW, ("how",))), "{{how}}")],
        ),
        DashboardPanel(
            "Refusals",
            "Requests that no component was drawn for, by error code: wrong keys, limits of keys, "
            "requests that are not valid.",
            "reqps",
            [(queries.or_zero(queries.per_s(REFUSALS, WINDOW, ("code",))), "{{code}}")],
        ),
        DashboardPanel(
            "Components available",
            "1 if every router takes the component to be there, 0 if at least one does not.",
            "short",
            [(queries.available("min"), "{{component}}")],
        ),
    ]


def _journal() -> list[DashboardPanel]:
    return [
        DashboardPanel(
            "Spool",
            "Bytes of records that wait for the database, over all routers.",
            "bytes",
            [(queries.gauge("sum", SPOOL_BYTES), "waiting")],
        ),
        DashboardPanel(
            "Spool age",
            "How long the oldest record has waited: about a second while the database answers.",
            "s",
            [(queries.gauge("max", SPOOL_AGE), "oldest")],
        ),
        DashboardPanel(
            "Dropped",
            "What full spools gave up within the window: the texts of records, then the records.",
            "short",
            [(queries.or_zero(queries.dropped(WINDOW)), "{{what}}")],
        ),
    ]


def _quantiles(metric: Metric, title: str, description: str) -> DashboardPanel:
    return DashboardPanel(title, description, "s", _both(metric, _BY_COMPONENT, "{{component}} "))


def _both(metric: Metric, by: tuple[str, ...], legend: str) -> list[tuple[str, str]]:
    return [(queries.quantile(q, metric, WINDOW, by), f"{legend}p{q * 100:g}") for q in (0.5, 0.99)]
