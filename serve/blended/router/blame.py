"""Decides whether an error is the request's or the component's, by its status and text. Pure.

| status | belongs to | then |
| 400, 413, 422 | the request | the client gets the complaint |
| 400, 422 about the member's account | a remote component: `refused` | another is asked |
| 401, 402, 403, 407, 451 | the component: `refused` | another is asked |
| 429, 529 | the component: `full`; without quota it is `refused` | another is asked |
| 500 and other failures | the component, or a request that no component survives: `broken` | \
another is asked |
| every other status | the component: `unavailable` | another is asked |
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from blended.router import complaints

# `broken`: it answered with a failure or with no answer at all, which the request may have caused.
Reason = Literal["full", "unavailable", "late", "refused", "broken"]

CONTEXT_EXCEEDED = "context_length_exceeded"

_REQUEST = (400, 413, 422)
_REFUSED = (401, 402, 403, 407, 451)
_FULL = (429, 529)
# A gateway in front of the component answers so when the component is not there.
_GATEWAY = (502, 503, 504)
_NO_QUOTA = ("insufficient_quota", "billing_hard_limit_reached", "billing_not_active")
# Codes of OpenAI's API on which clients act.
_CODES = (CONTEXT_EXCEEDED, "content_filter", "content_policy_violation", "invalid_prompt")
_TOO_LONG = re.compile(
    r"maximum context length|context (?:length|window) (?:is )?exceeded|exceeds? the (?:model's )?"
    r"(?:maximum )?context|prompt is too long",
    re.IGNORECASE,
)
_LONGEST_TEXT = 500


@dataclass(frozen=True)
class ErrorDocument:
    """What a component says of an error: a message, OpenAI's code and the field at fault."""

    message: str
    code: str | int | None
    param: str | None

    @property
    def known_code(self) -> str:
        """The code for the client."""
        if self.code in _CODES:
            return str(self.code)
        return CONTEXT_EXCEEDED if _TOO_LONG.search(self.message) else "invalid_value"


def parse(status: int, body: bytes) -> ErrorDocument:
    """An error's body in OpenAI's shape, or in one of those that other servers have."""
    text = body.decode(errors="replace")[:_LONGEST_TEXT]
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, list) and found:
        found = found[0]
    if isinstance(found, Mapping):
        error = found.get("error") or found
        error = error if isinstance(error, Mapping) else {"message": error}
        message = error.get("message") or error.get("detail") or error.get("msg")
        code, param = error.get("code"), error.get("param")
        text = message if isinstance(message, str) else text
    else:
        code = param = None
    return ErrorDocument(
        text or f"HTTP status {status}",
        code if isinstance(code, str | int) else None,
        param if isinstance(param, str) else None,
    )


def reason(status: int, error: ErrorDocument, is_remote: bool) -> Reason | None:
    """Why another component is asked after this error; None if the request itself is at fault."""
    without_quota = error.code in _NO_QUOTA
    is_about_account = error.param is None and complaints.is_about_account(error.message)
    if status in _REQUEST:
        return "refused" if is_remote and (without_quota or is_about_account) else None
    if status in _REFUSED:
        return "refused"
    if status in _FULL:
        return "refused" if without_quota else "full"
    return "broken" if status >= 500 and status not in _GATEWAY else "unavailable"


def status_of(document: bytes) -> int:
    """The status that an error under status 200 names as its code; else 500."""
    code = parse(500, document).code
    return code if isinstance(code, int) and 400 <= code < 600 else 500
