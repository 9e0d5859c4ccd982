"""Floating-point operations of a response, computed from a model's shape; nothing is measured.

A token costs 2 operations for each parameter that multiplies it, and 4·L·H·c for attention: L
layers, H values in all heads of a layer, scores over c tokens of context and the sum weighted by
them (Kaplan et al., arXiv 2001.08361, table 1; Hoffmann et al., arXiv 2203.15556, appendix F).
Embeddings are looked up; the output layer is computed for generated tokens alone.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from loadtests.studies.blend_cost.series import ResponseCost


@dataclass(frozen=True)
class DecoderShape:
    """A decoder's sizes: `tied` embedding and output are one matrix, a `gated` MLP has three."""

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head: int
    inner: int
    vocabulary: int
    gated: bool
    tied: bool = False

    @property
    def block_parameters(self) -> int:
        """Of all layers, without biases and norms."""
        attention = 2 * self.hidden * (self.heads + self.kv_heads) * self.head
        return self.layers * (attention + (3 if self.gated else 2) * self.hidden * self.inner)

    @property
    def output_parameters(self) -> int:
        """Of the layer that gives the logits."""
        return self.vocabulary * self.hidden

    @property
    def parameters(self) -> int:
        """All of them, with the embedding."""
        return self.block_parameters + (1 if self.tied else 2) * self.output_parameters


GPT_J = DecoderShape(28, 4096, 16, 16, 256, 16384, 50400, gated=False)
LLAMA_13B = DecoderShape(40, 5120, 40, 40, 128, 13824, 32000, gated=True)
# GPT-3's (Brown et al., arXiv 2005.14165, table 2.1), which stands for the paper's larger model.
GPT_3 = DecoderShape(96, 12288, 96, 96, 128, 49152, 50257, gated=False, tied=True)
PAPER = {"pygmalion": GPT_J, "chai": GPT_J, "vicuna": LLAMA_13B}


def shape_of(folder: Path) -> DecoderShape:
    """The shape of a Llama on disk, from its config.json."""
    config: dict[str, Any] = json.loads((folder / "config.json").read_text())
    return DecoderShape(
        layers=config["num_hidden_layers"],
        hidden=config["hidden_size"],
        heads=config["num_attention_heads"],
        kv_heads=config["num_key_value_heads"],
        head=config["head_dim"],
        inner=config["intermediate_size"],
        vocabulary=config["vocab_size"],
        gated=True,
        tied=config["tie_word_embeddings"],
    )


def response_flops(shape: DecoderShape, prompt: int, uncached: int, tokens: int) -> int:
    """Operations for the uncached end of a prompt and the response's tokens but the last.

    The last token of a response is not fed back, so that positions prompt - uncached + 1 to
    prompt + tokens - 1 are computed, each of which attends to itself and all before it.
    """
    first, last = prompt - uncached + 1, prompt + tokens - 1
    computed = last - first + 1
    context = (first + last) * computed // 2
    attention = 4 * shape.layers * shape.heads * shape.head * context
    return 2 * (shape.block_parameters * computed + shape.output_parameters * tokens) + attention


def candidates_flops(
    shape: DecoderShape, prompt: int, uncached: int, lengths: Sequence[int]
) -> int:
    """Operations for several candidates of one response, of these lengths.

    The prompt is computed once; each further candidate computes its last token again, from whose
    logits its own first token is drawn.
    """
    first, *others = lengths
    begun = response_flops(shape, prompt, uncached, first)
    return begun + sum(response_flops(shape, prompt, 1, tokens) for tokens in others)


def mean_flops(shape: DecoderShape, responses: Iterable[ResponseCost]) -> float:
    """Per response, at the lengths and with the caches of these."""
    return fmean(response_flops(shape, r.prompt, r.uncached, r.tokens) for r in responses)
