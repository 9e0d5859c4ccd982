"""A component's chat answer in the words of the Responses API, whole or as a stream of events."""

from collections.abc import Iterator
from typing import Any

from blended.errors import ApiError
from blended.router.client_apis import wire
from blended.router.client_apis.answer import Answer, Block, Step
from blended.router.client_apis.responses import document
from blended.router.client_apis.stream import StreamTranslation
from blended.router.requests import Payload

Json = dict[str, Any]

# The beginning of the names of the events that add to a block and complete it.
_GROWTH = {
    "text": "response.output_text",
    "refusal": "response.refusal",
    "reasoning": "response.reasoning_text",
    "call": "response.function_call_arguments",
}
_WHOLE = {"text": "text", "refusal": "refusal", "reasoning": "text", "call": "arguments"}


class ResponsesTranslation(StreamTranslation):
    """One response; its events are numbered in the order in which they are made."""

    def __init__(self, request: Payload, response_id: str, started_at: float) -> None:
        super().__init__(Answer())
        self._asked = document.asked(request, response_id, started_at)
        self._id = response_id
        self._number = 0

    def whole(self, body: bytes) -> bytes:
        """Translate an answer that is one document."""
        self._answer.take(wire.document(body))
        self._answer.end()
        return wire.encode(self._response(self._end()))

    def failed(self, error: ApiError) -> bytes:
        """The event `response.failed`; a block that was cut has no event that completes it."""
        if self._has_ended:
            return b""
        self._has_ended = True
        failed = self._lifecycle("failed", error)
        return b"".join(map(self._encoded, [*self._beginning(), failed]))

    def _beginning(self) -> Iterator[Json]:
        if self._number == 0:
            begun = Answer(model=self._answer.model)
            response = document.response(self._asked, begun, "in_progress")
            yield {"type": "response.created", "response": response}
            yield {"type": "response.in_progress", "response": response}

    def _ending(self) -> Iterator[Json]:
        yield from self._beginning()
        for step in self._answer.end():
            yield from self._shown(step)
        self._has_ended = True
        yield self._lifecycle(self._end())

    def _end(self) -> document.Status:
        return "incomplete" if self._answer.is_cut else "completed"

    def _lifecycle(self, status: document.Status, error: ApiError | None = None) -> Json:
        return {"type": f"response.{status}", "response": self._response(status, error)}

    def _response(self, status: document.Status, error: ApiError | None = None) -> Json:
        return document.response(self._asked, self._answer, status, error)

    def _encoded(self, event: Json) -> bytes:
        number, self._number = self._number, self._number + 1
        return wire.event(event | {"sequence_number": number})

    def _shown(self, step: Step) -> Iterator[Json]:
        block, growth = step.block, _GROWTH[step.block.kind]
        place = self._place(block)
        if step.change == "grows":
            logprobs: Json = {"logprobs": []} if block.kind == "text" else {}
            yield {"type": f"{growth}.delta", **place, "delta": step.text, **logprobs}
        elif step.change == "begins":
            yield self._item("added", block, "in_progress")
            if block.kind != "call":
                part = document.part(block, "")
                yield {"type": "response.content_part.added", **place, "part": part}
        else:
            yield from self._completed(block, growth, place)

    def _completed(self, block: Block, growth: str, place: Json) -> Iterator[Json]:
        kinds: dict[str, Json] = {"text": {"logprobs": []}, "call": {"name": block.name}}
        more = kinds.get(block.kind, {})
        yield {"type": f"{growth}.done", **place, _WHOLE[block.kind]: block.text, **more}
        if block.kind != "call":
            part = document.part(block, block.text)
            yield {"type": "response.content_part.done", **place, "part": part}
        yield self._item("done", block)

    def _item(self, change: str, block: Block, status: document.Status | None = None) -> Json:
        item = document.item(self._id, block, status)
        return {
            "type": f"response.output_item.{change}",
            "output_index": block.index,
            "item": item,
        }

    def _place(self, block: Block) -> Json:
        place = {"item_id": document.item_id(self._id, block), "output_index": block.index}
        return place if block.kind == "call" else place | {"content_index": 0}
