"""A small client of the router's API, for the terminal; programs use any OpenAI client."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from blended import sse
from blended.errors import LaunchError
from blended.router.blend import CLIENT_KEY_ENV

Message = dict[str, str]

_KEY_REMEDY = (
    f"Set the environment variable {CLIENT_KEY_ENV} here to a key of the blend, as it was set "
    "where the blend was started."
)


@dataclass(frozen=True)
class Reply:
    """One response: its component (None if the blend hides it), its text, and its timing."""

    component: str | None
    text: str
    tokens: int
    ttft_ms: float


class Client:
    """Talks to the blend at `url` with `key`."""

    def __init__(self, url: str, key: str) -> None:
        headers = {"Authorization": f"Bearer {key}"}
        self._http = httpx.Client(base_url=url, headers=headers, timeout=300)

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def models(self) -> list[dict[str, Any]]:
        """The blend and its components, as the API lists them."""
        with self._reaching():
            response = self._http.get("/v1/models")
        _raise_for_error(response)
        entries: list[dict[str, Any]] = response.json()["data"]
        return entries

    def is_healthy(self, timeout_s: float = 10) -> bool:
        """Whether the API answers that it is well."""
        try:
            return self._http.get("/healthz", timeout=timeout_s).is_success
        except httpx.HTTPError:
            return False

    def ask(self, model: str, messages: list[Message], **parameters: Any) -> Reply:
        """Get one response as a whole."""
        return self.stream(model, messages, lambda text: None, **parameters)

    def stream(
        self,
        model: str,
        messages: list[Message],
        on_text: Callable[[str], None],
        conversation: str | None = None,
        **parameters: Any,
    ) -> Reply:
        """Get one response, handing each piece of text to `on_text` as it comes.

        Raises:
            LaunchError: the blend does not answer, answered with an error, or broke off.
        """
        body = {
            "model": model,
            "messages": messages,
            "stream": True,
            "stream_options": {"include_usage": True},
            **parameters,
        }
        headers = {} if conversation is None else {"X-Conversation-ID": conversation}
        start, ttft_ms, pieces, tokens = time.perf_counter(), 0.0, list[str](), 0
        request = self._http.stream("POST", "/v1/chat/completions", json=body, headers=headers)
        with self._reaching(), request as response:
            _raise_for_error(response)
            for event in _events(response):
                tokens = (event.get("usage") or {}).get("completion_tokens", tokens)
                text = _text(event)
                if text:
                    ttft_ms = ttft_ms or (time.perf_counter() - start) * 1e3
                    pieces.append(text)
                    on_text(text)
            component = response.headers.get("x-blended-component")
        return Reply(component, "".join(pieces).strip(), tokens, ttft_ms)

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except httpx.HTTPError as exc:
            raise LaunchError(
                f"The blend at {self._http.base_url} does not answer ({exc}); is it running?"
            ) from exc


def _events(response: httpx.Response) -> Iterator[dict[str, Any]]:
    for event in sse.events(response.iter_bytes()):
        if event.data == sse.DONE:
            continue
        document = json.loads(event.data)
        if "error" in document:
            raise LaunchError(f"The response broke off: {document['error']['message']}")
        yield document


def _text(event: dict[str, Any]) -> str:
    return "".join(choice["delta"].get("content") or "" for choice in event["choices"])


def _raise_for_error(response: httpx.Response) -> None:
    if not response.is_error:
        return
    response.read()
    try:
        message = response.json()["error"]["message"]
    except (ValueError, KeyError, TypeError):
        message = response.text[:200]
    remedy = f" {_KEY_REMEDY}" if response.status_code == 401 else ""
    raise LaunchError(f"The blend answered {response.status_code}: {message}{remedy}")
