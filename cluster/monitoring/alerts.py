"""The alert rules of a blend, for Prometheus: each says what to look at and what to do."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from blended.router.metrics import SHARE, SPOOL_AGE, TTFT
from cluster.monitoring import queries

Rule = Mapping[str, Any]


@dataclass(frozen=True)
class Levels:
    """The levels and durations of the alerts.

    Rates are over `window` and have to last for `hold`, which is longer, so that one bad moment
    raises no alert. Shares need more responses, and a hold of at least their window, so that a
    change of the weights is over by then. `short_hold` is for conditions that are wrong at once.
    """

    window: str = "5m"
    hold: str = "10m"
    share_window: str = "15m"
    share_hold: str = "15m"
    short_hold: str = "1m"
    ttft_s: float = 2
    spool_age_s: float = 60


def rules(levels: Levels) -> dict[str, Any]:
    """A rule file: one group, which is also the `spec` of a PrometheusRule."""
    return {
        "groups": [
            {
                "name": "blended",
                "rules": [
                    _share_off(levels.share_window, levels.share_hold),
                    _slow_first_byte(levels.ttft_s, levels.window, levels.hold),
                    _responses_fail(levels.window, levels.hold),
                    _component_full(levels.window, levels.hold),
                    _component_gone(levels.short_hold),
                    _spool_old(levels.spool_age_s, levels.short_hold),
                    _records_dropped(levels.window, levels.short_hold),
                    _silent(levels.short_hold),
                ],
            }
        ]
    }


def _share_off(window: str, hold: str, sigmas: float = 4, responses: int = 100) -> Rule:
    enough = f"and on () {queries.answered(window)} >= {responses}"
    return _rule(
        "BlendedShareOff",
        f"abs({queries.deviation(window)}) > {sigmas:g} {enough}",
        hold,
        "warning",
        "{{ $labels.component }} answers more or fewer responses than its weight says",
        f'Its share of the last {window} is {{{{ $value | printf "%.1f" }}}} standard deviations '
        f"away from what is configured; chance alone exceeds {sigmas:g} once in 16,000 times.",
        "Responses are redrawn when a component fails, is full or cannot be reached: look at the "
        "panels 'Components available' and 'Attempts that failed', and bring that component back. "
        "The journal holds the probabilities of every draw.",
    )


def _slow_first_byte(level_s: float, window: str, hold: str) -> Rule:
    return _rule(
        "BlendedSlowFirstByte",
        f"{queries.quantile(0.99, TTFT, window, ('component',))} > {level_s:g}",
        hold,
        "warning",
        "First bytes of {{ $labels.component }} are late",
        f"One in a hundred responses takes longer than {{{{ $value | humanizeDuration }}}} to its "
        f"first byte, at the router; the level is {level_s:g} s.",
        "Look at the component's ongoing requests and its prefix cache: give it more replicas if "
        "they are many, less weight if you have no more. If all components are slow, look at the "
        "panel 'Router overhead' and the routers' CPU.",
    )


def _responses_fail(window: str, hold: str, level: float = 0.02) -> Rule:
    return _rule(
        "BlendedResponsesFail",
        f"{queries.failed_responses(window)} > {level:g}",
        hold,
        "critical",
        "{{ $value | humanizePercentage }} of the responses fail",
        f"More than {level:.0%} of them ended in an error, before their first byte or after it.",
        "'Attempts that failed' names the component and the outcome, and the routers' log has a "
        "line for each response with its ids. 'unavailable' and 'late': look at the engine's log; "
        "'refused': at its key.",
    )


def _component_full(window: str, hold: str, level: float = 0.05) -> Rule:
    full = queries.failed_attempts(window, 'outcome="full"')
    return _rule(
        "BlendedComponentFull",
        f"{full} > {level:g}",
        hold,
        "warning",
        "{{ $labels.component }} is full",
        f"{{{{ $value | humanizePercentage }}}} of the times that it was asked it had no room (the "
        f"level is {level:.0%}); when all components are full, clients get 429.",
        "Raise `replicas: {max}` of the component if there are nodes for it, or lower its weight. "
        "If its GPUs are not busy, raise `max_ongoing_requests`.",
    )


def _component_gone(hold: str) -> Rule:
    return _rule(
        "BlendedComponentGone",
        f"{queries.available('max')} == 0",
        hold,
        "critical",
        "No router can reach {{ $labels.component }}",
        "It is out of the draw everywhere, and the others answer its share.",
        "Ask `serve status` for its replicas and read their logs; of a remote component, check its "
        "address and its key. It returns by itself with the next check that succeeds.",
    )


def _spool_old(level_s: float, hold: str) -> Rule:
    return _rule(
        "BlendedSpoolOld",
        f"{queries.gauge('max', SPOOL_AGE)} > {level_s:g}",
        hold,
        "warning",
        "Records wait for the journal's database",
        "The oldest has waited for {{ $value | humanizeDuration }}. Responses go on as before, and "
        "nothing is lost until the spool is full.",
        "Look whether the database at BLENDED_JOURNAL_URL answers the routers' nodes; their log "
        "says why it does not. Records follow by themselves when it does.",
    )


def _records_dropped(window: str, hold: str) -> Rule:
    return _rule(
        "BlendedRecordsDropped",
        f"{queries.dropped(window)} > 0",
        hold,
        "critical",
        "The journal loses {{ $labels.what }}",
        f"A spool was full: {{{{ $value }}}} in the last {window} were given up, texts (`content`) "
        "before whole `records`.",
        "Bring the database back, which empties the spool. If it will take longer, raise "
        "`journal: {spool: {max_bytes}}` as far as the nodes' disks allow.",
    )


def _silent(hold: str) -> Rule:
    return _rule(
        "BlendedSilent",
        f"absent({queries.name(SHARE)})",
        hold,
        "critical",
        "No router's metrics reach Prometheus",
        "Either no router runs, or Prometheus cannot read the metrics of their nodes; no other of "
        "these alerts can fire until it does.",
        "Send a request to the API. If it is answered, look at Prometheus' list of targets for "
        "Ray's metrics ports; if not, ask `serve status` for the routers.",
    )


def _rule(
    alert: str,
    expr: str,
    hold: str,
    severity: Literal["warning", "critical"],
    summary: str,
    description: str,
    runbook: str,
) -> Rule:
    return {
        "alert": alert,
        "expr": expr,
        "for": hold,
        "labels": {"severity": severity},
        "annotations": {"summary": summary, "description": description, "runbook": runbook},
    }
