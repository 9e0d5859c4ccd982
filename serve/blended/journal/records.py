"""What the journal keeps: a record for every response, every feedback on one, and every experiment.

Records are lines of JSON on their way and rows in the database, by the same names. A field may be
added with a default; anything else needs a new schema version and a migration.
"""

import json
from dataclasses import dataclass, fields
from typing import Any, Literal

SCHEMA_VERSION = 1

# A component refuses a request that is wrong: that is no failure of anybody here.
State = Literal[
    "finished", "cancelled", "refused", "failed_before_first_byte", "failed_after_first_byte"
]
Kind = Literal["thumb", "star", "retry", "edit", "continued", "comment"]


@dataclass(frozen=True)
class ResponseRecord:
    """One response, whatever became of it. Times are Unix seconds, durations seconds.

    `started_at` is when the request reached the router, to the millisecond; it is part of
    `response_id`. `user` and `conversation` are hashes. `lineage` identifies the history that was
    answered and `parent` the one that the response before it had answered: equal histories of one
    user in one conversation have equal lineages; both are None where users cannot be told apart.

    `probabilities` is the selection distribution, `distribution` its version (equal distributions
    have equal versions); `drawn` is what `uniform` picked from it. `component` answered, with
    `propensity` given those that were unavailable or had failed; both are None when nobody did.
    `failures` are those asked in vain, each with its reason, in order.

    `ttft_s` runs from the request to the first byte that was sent on, `itl_mean_s` and `itl_p99_s`
    are between the pieces of a stream, `e2e_s` to its end, `router_s` is the part of it that was
    not spent waiting for the component. Tokens are those that the component reports. `content` is
    kept on request only: the messages, and the texts of the response; only then `repetition` is
    known, how much the response's words are those of the one before it (0 to 1).

    `arm` is the user's in `experiment`, where that decided the distribution. Without an experiment
    it tells who is held out of all.
    """

    response_id: str
    request_id: str
    started_at: float
    key_name: str
    user: str | None
    conversation: str
    turn: int
    lineage: str | None
    parent: str | None
    model: str
    experiment: str | None
    arm: str | None
    distribution: str
    probabilities: dict[str, float]
    uniform: float
    drawn: str
    component: str | None
    propensity: float | None
    failures: list[dict[str, str]]
    replica: str | None
    stream: bool
    prompt_tokens: int | None
    cached_tokens: int | None
    completion_tokens: int | None
    ttft_s: float | None
    itl_mean_s: float | None
    itl_p99_s: float | None
    e2e_s: float
    router_s: float
    finish_reason: str | None
    state: State
    content: dict[str, Any] | None = None
    schema_version: int = SCHEMA_VERSION
    repetition: float | None = None


@dataclass(frozen=True)
class FeedbackRecord:
    """One feedback on a response; another of the same kind on the same response replaces it.

    `value` is -1 or 1 for a thumb, 1 to 5 for a star, for an edit how much of the response's text
    was changed (0 to 1), and for `continued` the seconds from the response's end to the user's
    next message. `other_id` is the response that replaced this one (`retry`), or the next one
    (`continued`). `started_at` is the response's.
    """

    response_id: str
    started_at: float
    kind: Kind
    at: float
    value: float | None = None
    other_id: str | None = None
    text: str | None = None
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True)
class ExperimentRecord:
    """How an experiment was defined at a time: `definition` is one of experiments/definition.py's.

    Equal definitions have equal versions; of one version the first and the last time are kept.
    """

    name: str
    version: str
    at: float
    definition: dict[str, Any]
    schema_version: int = SCHEMA_VERSION


Record = ResponseRecord | FeedbackRecord | ExperimentRecord

_TYPES: dict[str, type[Record]] = {
    "response": ResponseRecord,
    "feedback": FeedbackRecord,
    "experiment": ExperimentRecord,
}
_NAMES = {kind: name for name, kind in _TYPES.items()}
_FIELDS = {kind: {f.name for f in fields(kind)} for kind in _NAMES}


def to_line(record: Record) -> str:
    """A record as one line of JSON, in ASCII, without the line break."""
    return json.dumps({"record": _NAMES[type(record)], **vars(record)})


def from_line(line: str) -> Record:
    """The record that a line holds; fields that this version does not know are left out.

    Raises:
        ValueError: the line is no record, or of a schema that is newer than this version's.
    """
    try:
        values = json.loads(line)
        kind = _TYPES[values.pop("record")]
        for name in values.keys() - _FIELDS[kind]:
            del values[name]
        record = kind(**values)
    except (ValueError, LookupError, TypeError, AttributeError) as exc:
        raise ValueError(f"This line is no record of the journal: {line[:80]!r}.") from exc
    if record.schema_version > SCHEMA_VERSION:
        raise ValueError(
            f"A record has schema version {record.schema_version}, this version of Blended knows "
            f"{SCHEMA_VERSION}; update it."
        )
    return record
