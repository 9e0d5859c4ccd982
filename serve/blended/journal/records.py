"""The journal's records: of every response, of every feedback on one, and of every experiment.

Records are lines of JSON in the spool and rows in the database, with the same names. A field may be
added with a default; any other change needs a new schema version and a migration.
"""

import json
from dataclasses import dataclass, fields
from typing import Any, Literal

SCHEMA_VERSION = 1

# A component refuses an invalid request: that is no failure of the service.
State = Literal[
    "finished", "cancelled", "refused", "failed_before_first_byte", "failed_after_first_byte"
]
Kind = Literal["thumb", "star", "retry", "edit", "continued", "comment"]


@dataclass(frozen=True)
class ResponseRecord:
    """One response, with any end. Times are Unix seconds, durations seconds.

    `started_at` is when the request reached the router, to the millisecond; it is part of
    `response_id`. `user` and `conversation` are hashes. `lineage` identifies the history that was
    answered and `parent` the one that the response before it had answered: equal histories of one
    user in one conversation have equal lineages; both are None where users cannot be told apart.

    `needs` are the capabilities that the request needed: the draw was among the components that
    have them (None in records of earlier versions). `probabilities` is the selection distribution,
    `distribution` its version (equal distributions have equal versions); `uniform` is the number
    that picked `drawn` from it; `ahead` is the nonce that keyed it where look-ahead drew it before
    the request came. `component` answered, and `propensity` is its probability given the
    components that were unavailable or had failed; both are None if no component answered.
    `left` are those that could be drawn then (None, too, in records of earlier versions).
    `failures` are the components that were asked in vain, each with the reason, in order.
    `policy` is the name and version of the policy that gave the probabilities, None where the
    weights did; `facts` are what was known of the request then, in the form of
    learning/features.py, if that is kept.

    `ttft_s` runs from the request to the first byte that was sent on, `itl_mean_s` and `itl_p99_s`
    are between the pieces of a stream, `e2e_s` to its end, `router_s` is the part of it that was
    not spent waiting for the component. Tokens are those that the component reports. `content` is
    kept on request only: the messages, and the texts of the response; only then `repetition` is
    known, how much the response's words are those of the one before it (0 to 1).

    `candidates` are known where the component gave several (`best_of`): how many (`k`), their
    `scores` by the reward model of version `reward_version`, the place of the `chosen` one from 0,
    what it was `chosen_by` (`reward`, or `first` without scores, and the `reason`), and the tokens
    of the others, which are part of the response's (`rejected_tokens`). Their texts are kept with
    `content` only, as `rejected`.

    `arm` is the user's arm in `experiment`, if the experiment decided the distribution. Without an
    experiment it tells whether the user is held out of all.
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
    needs: list[str] | None = None
    left: list[str] | None = None
    ahead: str | None = None
    policy: str | None = None
    facts: dict[str, Any] | None = None
    candidates: dict[str, Any] | None = None


@dataclass(frozen=True)
class FeedbackRecord:
    """One feedback on a response; another of the same kind on the same response replaces it.

    `value` is -1 or 1 for a thumb, 1 to 5 for a star, the changed share of the response's text (0
    to 1) for an edit, and for `continued` the seconds from the response's end to the user's next
    message. `other_id` is the response that replaced this one (`retry`), or the next one
    (`continued`). `started_at` is that of the response.
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
    """The definition of an experiment at a time, in the form of experiments/definition.py.

    Equal definitions have equal versions; the first and the last time of each version are kept.
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
        ValueError: the line is no record, or its schema is newer than this version's.
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
