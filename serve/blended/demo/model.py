"""A small Llama written for fast training on a CPU; its weights export to LlamaForCausalLM."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

ROPE_THETA = 100_000.0
NORM_EPS = 1e-5


@dataclass(frozen=True)
class Shape:
    vocab_size: int
    hidden: int = 128
    heads: int = 4
    layers: int = 4
    inner: int = 384
    max_positions: int = 1024

    @property
    def head_dim(self) -> int:
        return self.hidden // self.heads


class Block(nn.Module):
    """One layer, with the query, key and value projections (and gate and up) fused."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.norm_attention = nn.Parameter(torch.ones(shape.hidden))
        self.norm_mlp = nn.Parameter(torch.ones(shape.hidden))
        self.qkv = nn.Linear(shape.hidden, 3 * shape.hidden, bias=False)
        self.out = nn.Linear(shape.hidden, shape.hidden, bias=False)
        self.gate_up = nn.Linear(shape.hidden, 2 * shape.inner, bias=False)
        self.down = nn.Linear(shape.inner, shape.hidden, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        x = x + self._attend(_rms_norm(x, self.norm_attention), cos, sin)
        gate, up = self.gate_up(_rms_norm(x, self.norm_mlp)).chunk(2, -1)
        return x + cast(Tensor, self.down(F.silu(gate) * up))

    def _attend(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        rows, length, _ = x.shape
        parts = self.qkv(x).view(rows, length, 3, self.shape.heads, self.shape.head_dim)
        rotated = _rotate(parts[:, :, :2], cos, sin).transpose(1, 3)
        query, key = rotated[:, :, 0], rotated[:, :, 1]
        value = parts[:, :, 2].transpose(1, 2)
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        return cast(Tensor, self.out(mixed.transpose(1, 2).reshape(rows, length, -1)))


class TinyLlama(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(shape.vocab_size, shape.hidden)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = nn.Parameter(torch.ones(shape.hidden))
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                deep = name.endswith(("out.weight", "down.weight"))
                nn.init.normal_(parameter, std=0.05 / ((2 * shape.layers) ** 0.5 if deep else 1.0))

    def forward(self, ids: Tensor, wanted: Tensor) -> Tensor:
        """Logits at the wanted flat positions; padding must be on the right."""
        x = self.embedding(ids)
        if torch.is_autocast_enabled("cpu"):
            x = x.to(torch.get_autocast_dtype("cpu"))
        cos, sin = _angles(ids.shape[1], self.shape.head_dim, x.dtype)
        for block in self.blocks:
            x = block(x, cos, sin)
        x = _rms_norm(x.reshape(-1, self.shape.hidden)[wanted], self.norm)
        return F.linear(x, self.embedding.weight).float()


def _rms_norm(x: Tensor, weight: Tensor) -> Tensor:
    return F.rms_norm(x, weight.shape, weight.to(x.dtype), NORM_EPS)


def _angles(length: int, head_dim: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    rates = ROPE_THETA ** (-torch.arange(0, head_dim, 2) / head_dim)
    angles = torch.outer(torch.arange(length).float(), rates)[:, None, None, :]
    return angles.cos().to(dtype), angles.sin().to(dtype)


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = x.chunk(2, -1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), -1)


def exported(model: TinyLlama) -> dict[str, Tensor]:
    """The weights under the names of LlamaForCausalLM, in bf16; the output head is tied."""
    weights = {"model.embed_tokens.weight": model.embedding.weight, "model.norm.weight": model.norm}
    for index, block in enumerate(cast("list[Block]", model.blocks)):
        query, key, value = block.qkv.weight.chunk(3)
        gate, up = block.gate_up.weight.chunk(2)
        prefix = f"model.layers.{index}."
        weights |= {
            prefix + "input_layernorm.weight": block.norm_attention,
            prefix + "post_attention_layernorm.weight": block.norm_mlp,
            prefix + "self_attn.q_proj.weight": query,
            prefix + "self_attn.k_proj.weight": key,
            prefix + "self_attn.v_proj.weight": value,
            prefix + "self_attn.o_proj.weight": block.out.weight,
            prefix + "mlp.gate_proj.weight": gate,
            prefix + "mlp.up_proj.weight": up,
            prefix + "mlp.down_proj.weight": block.down.weight,
        }
    return {name: tensor.detach().bfloat16().contiguous() for name, tensor in weights.items()}


def save(model: TinyLlama, folder: Path, *, bos: int | None, eos: int, pad: int) -> None:
    """Writes model.safetensors, config.json and generation_config.json."""
    shape = model.shape
    save_file(exported(model), folder / "model.safetensors", metadata={"format": "pt"})
    tokens = {"bos_token_id": bos, "eos_token_id": eos, "pad_token_id": pad}
    config: dict[str, Any] = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": shape.vocab_size,
        "hidden_size": shape.hidden,
        "intermediate_size": shape.inner,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.heads,
        "head_dim": shape.head_dim,
        "hidden_act": "silu",
        "max_position_embeddings": shape.max_positions,
        "rms_norm_eps": NORM_EPS,
        "rope_theta": ROPE_THETA,
        "rope_parameters": {"rope_type": "default", "rope_theta": ROPE_THETA},
        "tie_word_embeddings": True,
        "attention_bias": False,
        "mlp_bias": False,
        "dtype": "bfloat16",
        **tokens,
    }
    _write_json(folder / "config.json", config)
    sampling = {"do_sample": True, "temperature": 0.7, "top_p": 0.9, "max_new_tokens": 80}
    _write_json(folder / "generation_config.json", {**tokens, **sampling})


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
