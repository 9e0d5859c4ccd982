"""What became of a case, and whether that is a fault of the blend: pure functions."""

import io
import json
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from typing import Any

from blended import sse
from tests.fuzz.cases import Case
from tests.fuzz.exchange import Exchange

_LAST_EVENTS = ("response.completed", "response.incomplete", "response.failed", "message_stop")
_RETRIABLE = (429, 503)


@dataclass(frozen=True)
class CaseVerdict:
    """`outcome` in a word or two; `fault` says what is wrong, empty when nothing is."""

    outcome: str
    fault: str = ""


@dataclass(frozen=True)
class HttpResponse:
    """A response that came whole."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def content_type(self) -> str:
        """Without its parameters."""
        return self.headers.get("content-type", "").partition(";")[0]


def judge(case: Case, exchange: Exchange) -> CaseVerdict:
    """What became of the case, and what is wrong with it."""
    if exchange.hung:
        return CaseVerdict("hung", "neither answered nor closed in its time")
    try:
        responses = _responses(case, exchange.response)
    except (HTTPException, ValueError) as exc:
        if exchange.left:
            return _server_error(exchange.response)
        # What a proxy says to bytes that are no HTTP/1.1 need not be HTTP/1.1 either.
        fault = f"the response is not whole: {exc!r}" if case.sound else ""
        return CaseVerdict("cut", fault)
    if exchange.left and not responses:
        return CaseVerdict("left")
    if len(responses) < (case.responses if case.sound else 0):
        return CaseVerdict("closed", f"closed after {len(responses)} of {case.responses} responses")
    faults = [fault for response in responses if (fault := _fault(case, response))]
    outcome = " ".join(map(_outcome, responses)) or "closed"
    return CaseVerdict(outcome, "; ".join(faults))


def _responses(case: Case, raw: bytes) -> list[HttpResponse]:
    stream, found = _Stream(raw), []
    while stream.tell() < len(raw):
        parsed = HTTPResponse(stream, method=case.method)  # type: ignore[arg-type]
        parsed.begin()
        headers = {name.lower(): value for name, value in parsed.getheaders()}
        found.append(HttpResponse(parsed.status, headers, parsed.read()))
    return found


class _Stream(io.BytesIO):
    """What http.client takes for a socket; stays open after each response."""

    def makefile(self, mode: str) -> "_Stream":
        return self

    def close(self) -> None:
        pass


def _server_error(raw: bytes) -> CaseVerdict:
    """Judge a response of which the client did not wait for the end."""
    status = raw.split(b" ", 2)[1:2]
    failed = bool(status) and status[0].startswith(b"5") and status[0] != b"503"
    shown = raw[:200].decode(errors="replace")
    return CaseVerdict("left in mid-response", f"a server error: {shown}" if failed else "")


def _outcome(response: HttpResponse) -> str:
    return f"{response.status}{' stream' if response.content_type == 'text/event-stream' else ''}"


def _fault(case: Case, response: HttpResponse) -> str:
    shown = f"{response.status} {response.content_type} {response.body[:200]!r}"
    if response.status in _RETRIABLE:
        if not response.headers.get("retry-after", "").isdigit():
            return f"no Retry-After: {shown}"
    elif response.status >= 500 and (case.sound or response.status == 500):
        return f"a server error: {shown}"
    if not case.sound or case.method == "HEAD":
        return ""
    if response.status >= 400:
        return "" if _is_error(response) else f"not an error in OpenAI's shape: {shown}"
    if response.status != 200:
        return f"an unexpected status: {shown}"
    return "" if _is_answer(response) else f"not an answer in OpenAI's shape: {shown}"


def _is_error(response: HttpResponse) -> bool:
    document = _json(response.body)
    error = document.get("error")
    names = {"message", "type"} if "type" in document else {"message", "type", "param", "code"}
    return (
        response.content_type == "application/json"
        and isinstance(error, dict)
        and set(error) == names
        and bool(error["message"])
    )


def _is_answer(response: HttpResponse) -> bool:
    if response.content_type == "application/json":
        return bool(_json(response.body))
    if response.content_type != "text/event-stream":
        return False
    items = sse.Parser().feed(response.body)
    events = [item for item in items if isinstance(item, sse.Event)]
    if not events or b"".join(item.raw for item in items) != response.body:
        return False
    *pieces, end = [event.data for event in events]
    return all(map(_json, pieces)) and (end == sse.DONE or _is_end(_json(end)))


def _is_end(document: dict[str, Any]) -> bool:
    """Whether a stream may end so: with an error, or with the last event of its API."""
    return "error" in document or document.get("type") in _LAST_EVENTS


def _json(document: bytes) -> dict[str, Any]:
    """The JSON object; empty when it is none."""
    try:
        value = json.loads(document)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
