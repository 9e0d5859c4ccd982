"""What a remote API calls the fields of a request, and which it does not know. One table.

A field that only advises the sampling is left out for an API that does not know it. A field that
promises something to the client is refused, as long as such an API may be drawn.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from blended.config import Dialect
from blended.errors import ApiError
from blended.router.blend import Upstream
from blended.router.refusal import refuse_field

# vLLM's own: advice, and promises.
_ADVICE = frozenset(
    ("top_k", "min_p", "repetition_penalty", "skip_special_tokens", "spaces_between_special_tokens")
)
_PROMISES = frozenset(
    (
        "min_tokens",
        "stop_token_ids",
        "include_stop_str_in_output",
        "echo",
        "structured_outputs",
        "chat_template_kwargs",
        "add_generation_prompt",
        "continue_final_message",
    )
)


@dataclass(frozen=True)
class RemoteDialect:
    """How requests to an API differ from those to vLLM.

    `token_limit` is the field with the most tokens of a chat's response; None keeps the client's.
    `most_stops` is how many texts may end a response. `advice` is left out, `promises` are refused,
    `renamed` gives fields another name.
    """

    token_limit: str | None = None
    most_stops: int | None = None
    advice: frozenset[str] = frozenset()
    promises: frozenset[str] = frozenset()
    renamed: Mapping[str, str] = field(default_factory=dict)

    def body(self, body: Mapping[str, Any], is_chat: bool) -> dict[str, Any]:
        """The body of a request in this dialect."""
        kept = {self.renamed.get(n, n): v for n, v in body.items() if n not in self.advice}
        if is_chat and self.token_limit is not None:
            first, second = kept.pop("max_tokens", None), kept.pop("max_completion_tokens", None)
            limit = first if second is None else second
            kept |= {} if limit is None else {self.token_limit: limit}
        return kept


DIALECTS: Mapping[Dialect, RemoteDialect] = {
    "vllm": RemoteDialect(),
    "compatible": RemoteDialect("max_tokens", 4),
    "openai": RemoteDialect("max_completion_tokens", 4, _ADVICE, _PROMISES),
    "mistral": RemoteDialect(
        "max_tokens",
        None,
        _ADVICE | {"stream_options", "logit_bias"},
        _PROMISES,
        {"seed": "random_seed"},
    ),
}


def check(payload: Mapping[str, Any], possible: Iterable[Upstream]) -> None:
    """Refuse a field that some component which may be drawn does not take.

    Raises:
        ApiError: 400, naming the field, the component and what to do.
    """
    for upstream in possible:
        if upstream.dialect == "vllm":
            continue  # it has all fields
        dialect = DIALECTS[upstream.dialect]
        for name in payload.keys() & dialect.promises:
            if payload[name] not in (None, False) and name not in upstream.passthrough:
                refuse_field(name, f"leave it out: component '{upstream.id}' does not take it")
        stops = payload.get("stop")
        most = dialect.most_stops
        if most is not None and isinstance(stops, list) and len(stops) > most:
            message = f"'stop' has {len(stops)} texts; component '{upstream.id}' takes {most}."
            raise ApiError(400, message, "invalid_value", "stop")
