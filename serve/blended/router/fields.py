"""The fields of requests: how the router handles each, and its valid values. One table.

A field that is missing or refused here reaches no component, unless every component that may be
drawn lists it under `passthrough`. python -m blended.router.fields_page writes docs/api.md from it.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from blended.router import values
from blended.router.refusal import refuse, refuse_field
from blended.router.values import Kind

Payload = Mapping[str, Any]
Handling = Literal["passed", "moved", "read", "dropped", "refused"]


@dataclass(frozen=True)
class Field:
    """A field of a request.

    The router passes it to the component as it is (`passed`), moves it into the component's range
    (`moved`), reads it and does not pass it (`read`), drops it because that breaks no promise
    (`dropped`), or refuses it (`refused`). `note` gives its purpose, or the alternative. Without a
    `kind`, its values are checked elsewhere, or no value is right.
    """

    name: str
    handling: Handling
    note: str
    kind: Kind | None = None

    @property
    def reaches_components(self) -> bool:
        """Whether the field reaches components that do not list it."""
        return self.handling in ("passed", "moved")

    @property
    def is_used(self) -> bool:
        """Whether the field has an effect."""
        return self.reaches_components or self.handling == "read"

    def takes(self, value: Any) -> bool:
        """Whether the field may have this value."""
        return self.kind is None or self.kind.holds(value)


Fields = Mapping[str, Field]
_UNKNOWN = Field("", "refused", "leave it out")


# Never passed from a client: a client could enter another client's cache.
_SALT = "cache_salt"
STREAM_OPTIONS = ("include_usage", "include_obfuscation", "continuous_usage_stats")
# OpenAI obfuscates the sizes of its events; this API does not.
PASSED_STREAM_OPTIONS = ("include_usage", "continuous_usage_stats")
MOST_CHOICES = 128
_FORMATS = ("text", "json_object", "json_schema", "structural_tag")
_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_CONSTRAINTS = (
    "json",
    "regex",
    "choice",
    "grammar",
    "json_object",
    "structural_tag",
    "disable_any_whitespace",
    "disable_additional_properties",
    "whitespace_pattern",
)


def _use(name: str) -> str:
    return f"use `structured_outputs: {{{name}: …}}`"


_EVERYWHERE = (
    Field("model", "read", "The blend's name, or a component's id."),
    Field("stream", "passed", "Send the response in pieces, as they come.", values.boolean()),
    Field(
        "stream_options",
        "passed",
        "Whether a stream reports its usage.",
        values.flags(*STREAM_OPTIONS),
    ),
    Field("temperature", "moved", "Sampling temperature.", values.number(0, 2)),
    Field("top_p", "moved", "Share of the probability that is sampled.", values.number_above(0, 1)),
    Field(
        "top_k",
        "moved",
        "How many of the likeliest tokens are sampled; 0 and -1 stand for all.",
        values.whole(-1),
    ),
    Field("min_p", "moved", "Least probability relative to the likeliest.", values.number(0, 1)),
    Field(
        "presence_penalty", "moved", "Penalty on tokens that have appeared.", values.number(-2, 2)
    ),
    Field("frequency_penalty", "moved", "Penalty by how often they have.", values.number(-2, 2)),
    Field(
        "repetition_penalty",
        "moved",
        "Factor against tokens of prompt and response.",
        values.number_above(0, 2),
    ),
    Field("max_tokens", "moved", "Most tokens of the response.", values.limit()),
    Field("min_tokens", "passed", "Fewest tokens of the response.", values.whole(0)),
    Field(
        "n",
        "passed",
        "How many choices one component generates; refused beyond the range of any that may be "
        "drawn.",
        values.whole(1, MOST_CHOICES),
    ),
    Field("stop", "passed", "Texts that end the response.", values.text_or_texts(16, 256)),
    Field("stop_token_ids", "passed", "Tokens that end it.", values.token_ids(64)),
    Field("include_stop_str_in_output", "passed", "Keep the text that ended it.", values.boolean()),
    Field("seed", "passed", "Repeat the sampling.", values.whole(-(2**63), 2**63 - 1)),
    Field("logit_bias", "passed", "Favour tokens.", values.biases()),
    Field("skip_special_tokens", "passed", "Leave special tokens out.", values.boolean()),
    Field("spaces_between_special_tokens", "passed", "Put spaces between them.", values.boolean()),
    Field("echo", "passed", "Repeat what the response goes on from.", values.boolean()),
    Field("response_format", "passed", "The form of the response.", values.format_of(*_FORMATS)),
    Field(
        "structured_outputs",
        "passed",
        "The same in vLLM's words.",
        values.constraints(*_CONSTRAINTS),
    ),
    Field(
        "metadata",
        "read",
        "`conversation_id`, `user_id` and `user_since` are used.",
        values.anything("an object, others are ignored"),
    ),
    Field(
        "prompt_cache_key",
        "read",
        "Names the conversation.",
        values.anything("a text, others are ignored"),
    ),
    Field(
        "safety_identifier",
        "read",
        "Names the user.",
        values.anything("a text, others are ignored"),
    ),
    Field("user", "read", "Names the user.", values.anything("a text, others are ignored")),
    Field("store", "dropped", "No response is stored to be looked up.", values.one_of(False)),
    Field("service_tier", "dropped", "There is one.", values.one_of("auto", "default")),
    Field(
        _SALT,
        "refused",
        "leave it out: the router sets it for each key or user, see `api.cache_salt`",
    ),
    # vLLM's earlier names for `structured_outputs`.
    Field("guided_json", "refused", _use("json") + ", or a `response_format` with a schema"),
    Field("guided_regex", "refused", _use("regex")),
    Field("guided_choice", "refused", _use("choice")),
    Field("guided_grammar", "refused", _use("grammar")),
    Field("guided_whitespace_pattern", "refused", _use("whitespace_pattern")),
    Field("guided_decoding_backend", "refused", "leave it out: the engine chooses its backend"),
)
_CHAT_ONLY = (
    Field("messages", "passed", "The conversation so far, made legal for the component."),
    Field(
        "max_completion_tokens",
        "moved",
        "The same as `max_tokens`, and goes before it.",
        values.limit(),
    ),
    Field("logprobs", "passed", "Report log probabilities.", values.boolean()),
    Field("top_logprobs", "passed", "Of so many alternatives.", values.whole(0, 20)),
    Field("tools", "passed", "Functions that the model may call.", values.tools(128)),
    Field("tool_choice", "passed", "Whether it calls one.", values.choice_of_tool()),
    Field("parallel_tool_calls", "passed", "Several calls at once.", values.boolean()),
    Field("reasoning_effort", "passed", "How long it thinks.", values.one_of(*_EFFORTS)),
    Field(
        "chat_template_kwargs",
        "passed",
        "Whether it thinks, in the words of chat templates.",
        values.flags("enable_thinking", "thinking"),
    ),
    Field("add_generation_prompt", "passed", "End with the next speaker.", values.boolean()),
    Field("continue_final_message", "passed", "Go on with the last message.", values.boolean()),
    Field("modalities", "dropped", "Responses are texts.", values.only(["text"])),
    Field("prediction", "dropped", "It only makes some APIs faster.", values.anything("anything")),
    Field("prompt_cache_options", "dropped", "Engines decide.", values.anything("anything")),
    Field("prompt_cache_retention", "dropped", "Engines decide.", values.anything("anything")),
    Field("functions", "refused", "use `tools`"),
    Field("function_call", "refused", "use `tool_choice`"),
    Field("audio", "refused", "leave it out: responses are texts"),
    Field("moderation", "refused", "leave it out: nothing is moderated here"),
    Field("verbosity", "refused", "say in a system message how long responses shall be"),
    Field("web_search_options", "refused", "give the model a tool that searches"),
)
_COMPLETIONS_ONLY = (
    Field("prompt", "passed", "A text, token ids, or at most 16 of either."),
    Field("messages", "dropped", "It belongs to chats.", values.anything("anything")),
    Field("logprobs", "passed", "Report log probabilities of so many.", values.whole(0, 20)),
    Field("best_of", "refused", "use `n`, and choose yourself"),
    Field("suffix", "refused", "leave it out: no engine here fills in"),
)

CHAT_FIELDS: Mapping[str, Field] = {f.name: f for f in (*_EVERYWHERE, *_CHAT_ONLY)}
COMPLETION_FIELDS: Mapping[str, Field] = {f.name: f for f in (*_EVERYWHERE, *_COMPLETIONS_ONLY)}


def check(payload: Payload, fields: Fields) -> None:
    """Refuse wrong values in fields that are used.

    Raises:
        ApiError: 400, naming the field, its value and the right values.
    """
    for name, field in fields.items():
        value = payload.get(name)
        if value is not None and field.is_used and not field.takes(value):
            refuse(name, value, f"give {field.kind.words if field.kind else 'something else'}")


def settled(payload: Payload, fields: Fields) -> dict[str, Any]:
    """A checked request with the values that components get: whole numbers as integers."""
    return {name: _settled(value, fields.get(name)) for name, value in payload.items()}


def _settled(value: Any, field: Field | None) -> Any:
    if value is None or field is None or field.kind is None or not field.is_used:
        return value
    return field.kind.settled(value)


def check_passed(payload: Payload, fields: Fields, passthroughs: Sequence[Collection[str]]) -> None:
    """Refuse fields that would reach no component; `passthroughs` are those of all possible ones.

    A field that is null counts as left out.

    Raises:
        ApiError: 400, naming the field and what to do.
    """
    for name, value in payload.items():
        field = fields.get(name, _UNKNOWN)
        is_listed = name != _SALT and all(name in names for names in passthroughs)
        if value is None or field.is_used or is_listed:
            continue
        if field.handling == "refused":
            refuse_field(name, field.note)
        if not field.takes(value):
            refuse(name, value, f"give {field.kind.words if field.kind else 'nothing'}")


def passed(payload: Payload, fields: Fields, passthrough: Collection[str]) -> dict[str, Any]:
    """The fields that reach a component, those in its `passthrough` included."""
    return {
        name: value
        for name, value in payload.items()
        if fields.get(name, _UNKNOWN).reaches_components
        or (name in passthrough and name != _SALT and value is not None)
    }
