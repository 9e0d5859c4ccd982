"""Whatever JSON a client or a component sends is translated or refused."""

import contextlib
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from blended.config import Api
from blended.errors import ApiError
from blended.router.client_apis.all_apis import MESSAGES, RESPONSES
from blended.router.client_apis.messages.fields import MESSAGES_FIELDS
from blended.router.client_apis.responses.fields import RESPONSES_FIELDS
from blended.router.client_apis.wire import Untranslatable
from tests.router.client_apis.chat_member import EVERYTHING, stream

WORDS = [
    *("type", "role", "content", "text", "name", "input", "source", "data", "format", "effort"),
    *("user", "assistant", "message", "function", "function_call", "function_call_output"),
    *("reasoning", "thinking", "tool_use", "tool_result", "image", "document", "input_image"),
    *("call_id", "arguments", "output", "id", "tool_use_id", "json_schema", "tool", "system"),
]
words = st.sampled_from(WORDS)
anything: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=4),
    max_leaves=12,
)
NAMES = {
    "chat": ("choices", "model", "usage", "id"),
    "choice": ("delta", "message", "finish_reason", "stop_reason", "index"),
    "delta": ("content", "reasoning", "refusal", "tool_calls"),
    "usage": ("prompt_tokens", "completion_tokens", "prompt_tokens_details"),
}


def of(names: tuple[str, ...]) -> st.SearchStrategy[Any]:
    """An object of some of these names, each with anything."""
    return st.dictionaries(st.sampled_from(names), anything, max_size=4)


choices = st.builds(
    lambda choice, delta: choice | {"delta": delta}, of(NAMES["choice"]), of(NAMES["delta"])
)
documents = st.builds(
    lambda document, choice, usage: document | {"choices": choice, "usage": usage},
    of(NAMES["chat"]),
    st.lists(choices | anything, max_size=2) | anything,
    of(NAMES["usage"]) | anything,
)


@settings(deadline=None)
@given(of((*RESPONSES_FIELDS, "other")), of((*MESSAGES_FIELDS, "other")))
def test_any_request_is_translated_or_refused(response: Any, message: Any) -> None:
    """No other exception reaches the client, and what is translated is JSON."""
    for client_api, request in ((RESPONSES, response), (MESSAGES, message)):
        with contextlib.suppress(ApiError):
            json.dumps(client_api.checked(request, Api()))


@settings(deadline=None)
@given(documents)
def test_any_answer_is_translated_or_a_failure(document: Any) -> None:
    """No other exception ends a response, whole or in a stream that goes on."""
    for client_api in (RESPONSES, MESSAGES):
        with contextlib.suppress(Untranslatable):
            client_api.translation({}, "x-1", 1.0).whole(json.dumps(document).encode())
        with contextlib.suppress(Untranslatable):
            translation = client_api.translation({}, "x-1", 1.0)
            assert translation.feed(stream([document, *EVERYTHING]))
            translation.feed(b"")
