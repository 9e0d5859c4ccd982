"""Clients' feedback on responses, and the part of a record that they may read. Pure functions."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from blended.errors import ApiError
from blended.journal.records import FeedbackRecord, Kind
from blended.journal.store import StoredResponse
from blended.router.refusal import refuse
from blended.router.requests import Payload

LONGEST_COMMENT = 10_000
# The fields that show which component answered, or could have answered.
_REVEALING = (
    "arm",
    "candidates",
    "component",
    "distribution",
    "drawn",
    "experiment",
    "failures",
    "left",
    "probabilities",
    "propensity",
    "replica",
    "uniform",
)
_INTERNAL = ("key_name", "lineage", "parent", "user")


def check(payload: Payload, started_at: Callable[[str], float | None], at: float) -> FeedbackRecord:
    """The feedback in a request's body, on an earlier response.

    `started_at` gives a response's start, None if the client's key never got such an id.

    Raises:
        ApiError: 400, naming the field and its right values; 404, there is no such response.
    """
    for name in payload.keys() - {"response_id", *_READERS}:
        refuse(name, payload[name], f"give 'response_id' and one of {', '.join(_READERS)}")
    given = [name for name in _READERS if payload.get(name) is not None]
    if len(given) != 1:
        message = f"Give one of {', '.join(_READERS)}; there are {len(given)}."
        raise ApiError(400, message, "invalid_value", given[0] if given else "thumb")
    response_id, kind = payload.get("response_id"), given[0]
    if not isinstance(response_id, str):
        refuse("response_id", response_id, "give the 'id' of a response")
    blank = FeedbackRecord(response_id, known(response_id, started_at), kind, at)
    feedback = replace(blank, **_READERS[kind](payload[kind]))
    if feedback.other_id is not None:
        known(feedback.other_id, started_at)
    return feedback


def known(response_id: str, started_at: Callable[[str], float | None]) -> float:
    """When a response started.

    Raises:
        ApiError: 404, the key never got a response with this id.
    """
    began = started_at(response_id)
    if began is None:
        message = f"There is no response '{response_id[:80]}' for this key; give its 'id'."
        raise ApiError(404, message, "response_not_found", "response_id")
    return began


def refuse_unkept(feedback: FeedbackRecord, retention_s: float | None, keep_content: bool) -> None:
    """Refuse feedback that this deployment would not keep.

    Raises:
        ApiError: 410, the response's record is gone by now; 400, no texts are kept.
    """
    if retention_s is not None and feedback.at - feedback.started_at > retention_s:
        days = f"{retention_s / 86_400:g}"
        message = f"Records are kept for {days} days; it is too late for feedback on this response."
        raise ApiError(410, message, "feedback_too_late", "response_id")
    if feedback.text is not None and not keep_content:
        message = "This deployment keeps no texts; leave the comment out."
        raise ApiError(400, message, "comments_not_kept", "comment")


def outcome(feedback: FeedbackRecord, replaced: bool | None) -> tuple[int, dict[str, Any]]:
    """HTTP status and document: the feedback is stored, has replaced another, or is queued."""
    status = {None: "queued", False: "recorded", True: "replaced"}[replaced]
    given = {"response_id": feedback.response_id, "kind": feedback.kind, "status": status}
    return (202 if replaced is None else 200), {"object": "feedback", **given}


def document(found: StoredResponse, reveal_component: bool, is_own_cache: bool) -> dict[str, Any]:
    """A response's record as its client may see it.

    It has no hashes, no component if that is hidden, and nothing about caches of other clients.
    """
    hidden = {*_INTERNAL, *(() if reveal_component else _REVEALING)}
    hidden |= set() if is_own_cache else {"cached_tokens"}
    record = {name: value for name, value in vars(found.record).items() if name not in hidden}
    return {
        "object": "response.record",
        **record,
        "replaces": found.replaces,
        "feedback": [_shown(feedback) for feedback in found.feedback],
    }


def _shown(feedback: FeedbackRecord) -> dict[str, Any]:
    known = ("kind", "at", "value", "other_id", "text")
    return {name: getattr(feedback, name) for name in known}


def _thumb(value: Any) -> dict[str, Any]:
    if value not in ("up", "down"):
        refuse("thumb", value, "give 'up' or 'down'")
    return {"value": 1.0 if value == "up" else -1.0}


def _star(value: Any) -> dict[str, Any]:
    if isinstance(value, bool) or value not in (1, 2, 3, 4, 5):
        refuse("star", value, "give a whole number from 1 to 5")
    return {"value": float(value)}


def _retry(value: Any) -> dict[str, Any]:
    if not isinstance(value, str):
        refuse("retry", value, "give the id of the response that replaces this one")
    return {"other_id": value}


def _edit(value: Any) -> dict[str, Any]:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        refuse("edit", value, "give how much of the text was changed, from 0 to 1")
    return {"value": float(value)}


def _comment(value: Any) -> dict[str, Any]:
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_COMMENT:
        refuse("comment", value, f"give a text of at most {LONGEST_COMMENT} characters")
    return {"text": value}


_READERS: dict[Kind, Callable[[Any], dict[str, Any]]] = {
    "thumb": _thumb,
    "star": _star,
    "retry": _retry,
    "edit": _edit,
    "comment": _comment,
}
