"""Llamas with random weights whose tokens are words: they compute as real ones, and say nothing.

Every text of such words is read back as the tokens that were generated, so that a prefix cache
finds a response again, as it does with a model that writes the text of its training.
"""

from pathlib import Path
from typing import Any

WORDS = tuple(f"w{number}" for number in range(2000))
_ROLES = ("system:", "user:", "assistant:")
_END, _UNKNOWN = "</s>", "<unk>"
_TEMPLATE = (
    "{% for message in messages %}{{ message.role }}: {{ message.content }} {% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)
# 7 layers of 12 x 768 x 768 weights, and two tables of 2,005 x 768: 52.6 million in all.
_WIDTH, _LAYERS, _HEADS = 768, 7, 12


def make(folder: Path, seed: int) -> Path:
    """A Llama of 53 million parameters in `folder`, with its tokenizer and chat template."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = _tokenizer()
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=_WIDTH,
        intermediate_size=8 * _WIDTH // 3,
        num_hidden_layers=_LAYERS,
        num_attention_heads=_HEADS,
        max_position_embeddings=4096,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _tokenizer() -> Any:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: i for i, word in enumerate((_UNKNOWN, _END, *_ROLES, *WORDS))}
    words = Tokenizer(WordLevel(vocabulary, unk_token=_UNKNOWN))
    words.pre_tokenizer = WhitespaceSplit()
    made: Any = PreTrainedTokenizerFast  # which has no types
    tokenizer = made(tokenizer_object=words, eos_token=_END)
    tokenizer.chat_template = _TEMPLATE
    return tokenizer
