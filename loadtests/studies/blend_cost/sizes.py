"""The models of the GPU measurement: shapes, and the configs that vLLM needs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from loadtests.studies.blend_cost.flops import PAPER, DecoderShape

MAX_LENGTH = 2048


@dataclass(frozen=True)
class Sizes:
    """The measured sizes: shapes by component, and the type and bytes of a number in them."""

    shapes: Mapping[str, DecoderShape]
    dtype: str
    number_bytes: int


SIZES = {
    "paper": Sizes(PAPER, "float16", 2),
    "tiny": Sizes(
        {
            "pygmalion": DecoderShape(2, 64, 2, 2, 32, 256, 512, gated=False),
            "vicuna": DecoderShape(2, 64, 2, 2, 32, 160, 512, gated=True),
        },
        "float32",
        4,
    ),
}


def config(shape: DecoderShape) -> dict[str, Any]:
    """A model's config.json: a Llama if the MLP is gated, else a GPT-J."""
    both = {"vocab_size": shape.vocabulary, "bos_token_id": 0, "eos_token_id": 1}
    both["tie_word_embeddings"] = shape.tied
    if not shape.gated:
        return both | {
            "architectures": ["GPTJForCausalLM"],
            "model_type": "gptj",
            "n_embd": shape.hidden,
            "n_layer": shape.layers,
            "n_head": shape.heads,
            "n_inner": shape.inner,
            "n_positions": MAX_LENGTH,
            "rotary_dim": min(64, shape.head),
            "activation_function": "gelu_new",
        }
    return both | {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": shape.hidden,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head,
        "intermediate_size": shape.inner,
        "max_position_embeddings": MAX_LENGTH,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-5,
    }
