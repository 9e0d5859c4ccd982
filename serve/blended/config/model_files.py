"""What a model's files on this machine tell of its size, without loading it."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blended import demo

DEMO = "demo:"
RELATIVE = ("./", "../", "~")
# Keys and values.
_PARTS = 2
_BYTES = 2


@dataclass(frozen=True)
class ModelFiles:
    """Parameters, and bytes of KV cache for one token; None if the files are not here."""

    parameters: float | None = None
    kv_bytes_per_token: float | None = None


def read(model: str) -> ModelFiles:
    """The size of a model that is named by the path of a folder; nothing of any other."""
    found = None if model.startswith(DEMO) else folder(model)
    return ModelFiles() if found is None else in_folder(found)


def folder(model: str) -> Path | None:
    """The folder of a model of a demo or by its path; None for a Hugging Face id.

    Raises:
        ConfigError: no demo has such a model.
    """
    if model.startswith(DEMO):
        return demo.model_path(model.removeprefix(DEMO))
    return Path(model).expanduser() if model.startswith(("/", *RELATIVE)) else None


def in_folder(folder: Path) -> ModelFiles:
    """The size of the model in a folder; nothing if there is none, or its files are broken."""
    try:
        files = sorted(folder.glob("*.safetensors"))
        parameters = float(sum(map(_parameters, files))) or None
        return ModelFiles(parameters, _kv_bytes(shape(folder)))
    except (OSError, ValueError, KeyError, TypeError):
        return ModelFiles()


def shape(folder: Path) -> Mapping[str, Any]:
    """The fields of a model's config.json that describe its layers; empty if they cannot be read.

    A model of texts and images has them in a part of it.
    """
    try:
        config = json.loads((folder / "config.json").read_text())
    except (OSError, ValueError):
        return {}
    found = config.get("text_config", config) if isinstance(config, Mapping) else {}
    return found if isinstance(found, Mapping) else {}


def _parameters(file: Path) -> int:
    # A safetensors file begins with the length of a JSON header that gives every tensor's shape.
    with file.open("rb") as stream:
        header = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
    return sum(math.prod(t["shape"]) for name, t in header.items() if name != "__metadata__")


def _kv_bytes(shape: Mapping[str, Any]) -> float | None:
    """Keys and values of every layer and head, in 16 bits.

    Layers with a sliding window count like the others, so that it is an upper bound.
    """
    layers, heads = shape.get("num_hidden_layers"), shape.get("num_attention_heads")
    if not layers or not heads:
        return None
    width = shape.get("head_dim") or shape["hidden_size"] // heads
    return float(_PARTS * _BYTES * layers * (shape.get("num_key_value_heads") or heads) * width)
