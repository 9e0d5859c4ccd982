"""A chat stream as events of another API: their order is decided here, their words elsewhere."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

from blended.router.client_apis import wire
from blended.router.client_apis.answer import Answer, Step
from blended.router.client_apis.wire import Untranslatable

Json = dict[str, Any]


class StreamTranslation(ABC):
    """Translates whole events of a chat stream, one answer in all.

    The first chunk begins the answer, each chunk adds steps to it, and the stream's end ends it,
    after which nothing comes.
    """

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._has_ended = False
        self._failure: Untranslatable | None = None

    def feed(self, events: bytes) -> bytes:
        """Translate whole events; those before one that cannot be told are not lost.

        Raises:
            Untranslatable: an event of the call before could not be told.
        """
        if self._failure is not None:
            raise self._failure
        body, self._failure = wire.joined(map(self._encoded, self._events(events)))
        return body

    def _events(self, events: bytes) -> Iterator[Json]:
        for chunk in wire.chunks(events):
            if self._has_ended:
                return
            if chunk is None:
                yield from self._ending()
                continue
            steps = self._answer.take(chunk)
            yield from self._beginning()
            for step in steps:
                yield from self._shown(step)

    @abstractmethod
    def _beginning(self) -> Iterator[Json]:
        """The first events, once; the model is known from the first chunk."""

    @abstractmethod
    def _shown(self, step: Step) -> Iterator[Json]:
        """The events of a step."""

    @abstractmethod
    def _ending(self) -> Iterator[Json]:
        """The last events."""

    @abstractmethod
    def _encoded(self, document: Json) -> bytes:
        """An event on the wire."""
