"""A component's chat answer in the words of the Messages API, whole or as a stream of events."""

from collections.abc import Iterator
from typing import Any

from blended.errors import ApiError
from blended.router.client_apis import wire
from blended.router.client_apis.answer import Answer, Step
from blended.router.client_apis.messages import document
from blended.router.client_apis.stream import StreamTranslation
from blended.router.requests import Payload

Json = dict[str, Any]

_DELTAS = {
    "text": ("text_delta", "text"),
    "refusal": ("text_delta", "text"),
    "reasoning": ("thinking_delta", "thinking"),
    "call": ("input_json_delta", "partial_json"),
}


class MessagesTranslation(StreamTranslation):
    """One message. Thinking is left out if the client disabled or hid it."""

    def __init__(self, request: Payload, message_id: str, _started_at: float) -> None:
        thinking = request.get("thinking") or {}
        hidden = thinking.get("type") == "disabled" or thinking.get("display") == "omitted"
        super().__init__(Answer(hides_reasoning=hidden))
        self._request, self._id = request, message_id
        self._has_begun = False

    def whole(self, body: bytes) -> bytes:
        """Translate an answer that is one document."""
        self._answer.take(wire.document(body))
        return wire.encode(document.message(self._id, self._answer, self._request))

    def failed(self, error: ApiError) -> bytes:
        """The event `error`, after which nothing comes."""
        if self._has_ended:
            return b""
        self._has_ended = True
        return wire.event(document.error(error, self._id))

    def _beginning(self) -> Iterator[Json]:
        if not self._has_begun:
            self._has_begun = True
            yield {"type": "message_start", "message": document.begun(self._id, self._answer)}

    def _ending(self) -> Iterator[Json]:
        yield from self._beginning()
        yield from map(self._event, self._answer.end())
        self._has_ended = True
        delta = document.stop(self._answer, self._request)
        usage = document.usage(self._answer.usage)
        yield {"type": "message_delta", "delta": delta, "usage": usage}
        yield {"type": "message_stop"}

    def _shown(self, step: Step) -> Iterator[Json]:
        yield self._event(step)

    def _encoded(self, document: Json) -> bytes:
        return wire.event(document)

    def _event(self, step: Step) -> Json:
        index = step.block.index
        if step.change == "begins":
            begun = document.content_block_begun(self._id, step.block)
            return {"type": "content_block_start", "index": index, "content_block": begun}
        if step.change == "ends":
            return {"type": "content_block_stop", "index": index}
        kind, name = _DELTAS[step.block.kind]
        delta = {"type": kind, name: step.text}
        return {"type": "content_block_delta", "index": index, "delta": delta}
