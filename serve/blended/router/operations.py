"""The endpoints that answer with tokens: how each reads its requests and names its responses."""

from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import Request

from blended.config import Api
from blended.router import cost, fields, requests
from blended.router.access.gate import KEY
from blended.router.client_apis import all_apis
from blended.router.client_apis.client_api import ClientApi, Translation
from blended.router.inquiry import CHAT, COMPLETIONS, FIELDS
from blended.router.requests import Payload
from blended.router.turns import Turn, turn_of


@dataclass(frozen=True)
class Asked:
    """The contents of a request's body: `original` in the client's words, `payload` as asked."""

    original: Payload
    payload: Payload
    turn: Turn
    size_bytes: int
    prompt_tokens: int


@dataclass(frozen=True)
class Operation:
    """One endpoint.

    `path` is the endpoint of components that it asks, `name` its name in traces, and `prefix`
    begins its responses' ids. `read` checks a request and gives it in the words of components;
    `client_api` translates the answer, None where the client's API is the components'.
    """

    path: str
    name: str
    prefix: str
    read: Callable[[Payload, Api], Payload]
    client_api: ClientApi | None = None

    def translation(self, asked: Asked, response_id: str, started_at: float) -> Translation | None:
        """What translates the answer to one request, if anything has to."""
        if self.client_api is None:
            return None
        return self.client_api.translation(asked.original, response_id, started_at)


def understood(body: bytes, operation: Operation, request: Request, limits: Api) -> Asked:
    """Parse and check a request's body.

    Raises:
        ApiError: 400, no component could answer it.
    """
    original = requests.parse(body)
    payload = fields.settled(operation.read(original, limits), FIELDS[operation.path])
    turn = turn_of(payload, request.headers, request.scope[KEY].name)
    tokens = cost.prompt_tokens(operation.path, payload)
    return Asked(original, payload, turn, len(body), tokens)


def _chat(payload: Payload, limits: Api) -> Payload:
    requests.check_chat(payload, limits)
    return payload


def _completion(payload: Payload, limits: Api) -> Payload:
    requests.check_completion(payload, limits)
    payload.pop("messages", None)  # not a field of completions, and unchecked
    return payload


def _of(client_api: ClientApi) -> Operation:
    return Operation(CHAT, "chat", client_api.prefix, client_api.checked, client_api)


CHATS = Operation(CHAT, "chat", "chatcmpl", _chat)
TEXTS = Operation(COMPLETIONS, "text_completion", "cmpl", _completion)
RESPONSES = _of(all_apis.RESPONSES)
MESSAGES = _of(all_apis.MESSAGES)
