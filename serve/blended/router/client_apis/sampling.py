"""Fields that other APIs' clients may send by chat's names: engines' sampling parameters."""

from blended.router.fields import CHAT_FIELDS

SAMPLING = tuple(
    CHAT_FIELDS[name]
    for name in (
        "temperature",
        "top_p",
        "top_k",
        "min_p",
        "presence_penalty",
        "frequency_penalty",
        "repetition_penalty",
        "min_tokens",
        "seed",
        "logit_bias",
        "stop_token_ids",
        "include_stop_str_in_output",
        "skip_special_tokens",
        "spaces_between_special_tokens",
        "chat_template_kwargs",
    )
)
