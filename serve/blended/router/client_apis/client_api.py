"""What the router needs of an API other than chat: a request to chat, and an answer from it.

Draw, history, window, failover and journal know the chat API only: requests of another API are
translated before them, and answers after them.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from blended.config import Api
from blended.errors import ApiError
from blended.router.requests import Payload, check_chat

_PARAM = re.compile(r"messages\[(\d+)\]|\w+")


class Translation(Protocol):
    """One answer on its way from a component's chat API to the client's API."""

    def whole(self, document: bytes) -> bytes:
        """Translate an answer that is one document.

        Raises:
            Untranslatable: the document is no chat completion.
        """

    def feed(self, events: bytes) -> bytes:
        """Translate whole events of a chat stream, in their order; the stream may be cut anywhere.

        Raises:
            Untranslatable: the client's API has no words for the events of the call before.
        """

    def failed(self, error: ApiError) -> bytes:
        """The events that end a stream which has failed; none if it has already ended."""


@dataclass(frozen=True)
class Translated:
    """A request in the words of chat; `places` are the client's paths to its messages."""

    payload: Payload
    places: Sequence[str]


@dataclass(frozen=True)
class ClientApi:
    """An API other than chat.

    `prefix` begins its responses' ids. `names` are its names for fields of chat. `chat` translates
    a request, and `translation` the answer to it, with the response's id and start in Unix seconds.
    """

    prefix: str
    names: Mapping[str, str]
    chat: Callable[[Payload], Translated]
    translation: Callable[[Payload, str, float], Translation]

    def checked(self, payload: Payload, limits: Api) -> Payload:
        """The request in the words of chat, checked as a chat is.

        Raises:
            ApiError: 400, naming the client's own field, its value and the right values.
        """
        translated = self.chat(payload)
        try:
            check_chat(translated.payload, limits)
        except ApiError as error:
            raise self._renamed(error, translated.places) from error
        return translated.payload

    def _renamed(self, error: ApiError, places: Sequence[str]) -> ApiError:
        """The error with the client's name for the field."""
        found = _PARAM.match(error.param or "")
        if found is None:
            return error
        own = places[int(found[1])] if found[1] else self.names.get(found[0], found[0])
        param = own + (error.param or "")[found.end() :]
        message = error.message.replace(f"'{error.param}'", f"'{param}'")
        return ApiError(error.status, message, error.code, param)
