"""The measures, each defined once: its numerator and its denominator.

A user's day is a day on which a session of theirs began; day 0 is the one on which they joined,
that is, on which their arm first decided about a response.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from blended.experiments.moments import Contrast, combined
from blended.experiments.user_days import SAID

Goal = Literal["higher", "lower", "neither"]


@dataclass(frozen=True)
class Measure:
    """A ratio of two sums over an arm's users; both are columns of panel.py.

    `goal` is the better direction. A `is_share` measure lies between 0 and 1 for every user. A
    `caveat` stands wherever the number stands. A guardrail that `is_watched` has a say in the
    decision, whether it has a margin or not.
    """

    name: str
    label: str
    numerator: str
    denominator: str
    goal: Goal
    definition: str
    is_guardrail: bool = False
    is_share: bool = False
    is_watched: bool = False
    caveat: str | None = None

    @property
    def contrast(self) -> Contrast:
        """The log of the measure as a contrast."""
        return {self.numerator: 1.0, self.denominator: -1.0}

    @property
    def history(self) -> Contrast | None:
        """The same contrast for the days before the experiment; None if it has no meaning then."""
        if self.is_guardrail or {self.numerator, self.denominator} & set(SAID):
            return None
        numerator, denominator = (_BEFORE.get(c, c) for c in (self.numerator, self.denominator))
        if denominator == "observed_days":
            return {f"before_{numerator}": 1.0}
        return {f"before_{numerator}": 1.0, f"before_{denominator}": -1.0}


# The columns of the days that the verdict is on, and what they are called in the users' history.
_BEFORE = {
    "window_active": "active_days",
    "window_observed": "observed_days",
    "window_seconds": "active_s",
}


CAME = "of users who came: an arm that loses its casual users looks better"

MEASURES = (
    Measure(
        "retention",
        "Retention",
        "window_active",
        "window_observed",
        "higher",
        "Days on which a user came, over the days on which they were observed, both counted on the "
        "days after joining that the verdict is on: the mean of R(k) there.",
        is_share=True,
    ),
    Measure(
        "engagement",
        "Engagement (s)",
        "window_seconds",
        "window_active",
        "higher",
        "Time in sessions without the waiting, per day on which a user came, on the days after "
        "joining that the verdict is on: the mean of E(k) there.",
        caveat=CAME,
    ),
    Measure(
        "active_days",
        "Active days",
        "active_days",
        "observed_days",
        "higher",
        "Days on which a user came, over all days since they joined.",
        is_share=True,
    ),
    Measure(
        "time_per_day",
        "Time per day (s)",
        "active_s",
        "observed_days",
        "higher",
        "Time in sessions without the waiting, over all days since a user joined, whether they "
        "came or not.",
    ),
    Measure(
        "messages_per_day",
        "Messages per active day",
        "turns",
        "active_days",
        "higher",
        "Responses that were answered and not retried, over the days on which a user came.",
        caveat=CAME,
    ),
    Measure(
        "conversation_length",
        "Conversation length",
        "turns",
        "conversations",
        "higher",
        "Responses that were answered and not retried, over the conversations that began.",
        caveat=CAME,
    ),
    Measure(
        "regenerations",
        "Regenerated responses",
        "retries",
        "responses",
        "lower",
        "Responses that the user had drawn again, over all responses.",
        is_share=True,
    ),
    Measure(
        "edits",
        "Edited responses",
        "edits",
        "responses",
        "lower",
        "Responses that the user edited, over all responses.",
        is_share=True,
    ),
    Measure(
        "thumbs_up",
        "Thumbs that are up",
        "thumbs_up",
        "thumbs",
        "higher",
        "Thumbs up, over all thumbs.",
        is_share=True,
    ),
    Measure(
        "ttft",
        "TTFT (s)",
        "ttft_s",
        "ttft_responses",
        "lower",
        "Mean time to the first byte of a response; one that failed or was cancelled before it "
        "counts with the time that its client waited.",
        is_guardrail=True,
        is_watched=True,
    ),
    Measure(
        "failures",
        "Failed responses",
        "failures",
        "responses",
        "lower",
        "Responses that failed, over all responses.",
        is_guardrail=True,
        is_share=True,
        is_watched=True,
    ),
    Measure(
        "prompt_tokens",
        "Prompt tokens",
        "prompt_tokens",
        "responses",
        "neither",
        "Tokens of prompts, over all responses.",
        is_guardrail=True,
    ),
    Measure(
        "response_tokens",
        "Response tokens",
        "completion_tokens",
        "responses",
        "neither",
        "Tokens of responses, over all responses, without those of candidates that nobody saw.",
        is_guardrail=True,
    ),
    Measure(
        "engine_seconds",
        "Engine seconds",
        "engine_s",
        "responses",
        "lower",
        "Time that components worked on a response, times the GPUs of one of their replicas (1 "
        "where there is none). Responses served together share them: an upper bound of the cost.",
        is_guardrail=True,
    ),
    Measure(
        "repetition",
        "Repetition",
        "repetition",
        "repetition_responses",
        "lower",
        "Jaccard index of the words of consecutive responses; known where texts are kept.",
        is_guardrail=True,
    ),
)

# The guardrails that are quantiles of all responses' times to the first byte.
QUANTILES = {"ttft_p50": 0.5, "ttft_p95": 0.95}
QUANTILE_LABELS = {"ttft_p50": "TTFT, p50 (s)", "ttft_p95": "TTFT, p95 (s)"}
QUANTILE_DEFINITION = (
    "The time to the first byte that {share:.0%} of an arm's responses keep within; its error "
    "counts the responses of one user as alike. Of more than {users:,} users a part is read."
)

GUARDRAILS = frozenset((*QUANTILES, *(m.name for m in MEASURES if m.is_guardrail)))
CONDITIONAL = frozenset(measure.name for measure in MEASURES if measure.caveat)
WATCHED = frozenset(measure.name for measure in MEASURES if measure.is_watched)
# The names of everything that is shown, for people.
LABELS = {**{measure.name: measure.label for measure in MEASURES}, **QUANTILE_LABELS}

RETENTION = "R(k): users who came on day k after joining, over users who joined k days ago or more."
ENGAGEMENT = (
    "E(k): mean time in sessions without the waiting, of the users who came on day k after joining."
)


def retention(k: int) -> Contrast:
    """The log of R(k), the share of users who are active on day k after joining.

    Only users who joined at least k days ago are in either sum.
    """
    return {f"active_{k}": 1.0, f"observed_{k}": -1.0}


def engagement(k: int) -> Contrast:
    """The log of E(k), the mean time in seconds of the users who are active on day k."""
    return {f"seconds_{k}": 1.0, f"active_{k}": -1.0}


def intercept_and_slope(
    days: Sequence[int], curve: Literal["retention", "engagement"]
) -> tuple[Contrast, Contrast]:
    """The line through the log of a curve against log k, by least squares.

    Of two arms the differences of intercepts and slopes are the paper's Δζ and Δβ for retention, Δα
    and Δγ for engagement (arXiv 2401.02994): log ratio(k) = Δζ + Δβ log k.
    """
    of_day = {"retention": retention, "engagement": engagement}[curve]
    design = np.column_stack([np.ones(len(days)), np.log(days)])
    weights = np.linalg.pinv(design)
    contrasts = {k: of_day(k) for k in days}
    intercept, slope = (combined(dict(zip(days, row, strict=True)), contrasts) for row in weights)
    return intercept, slope
