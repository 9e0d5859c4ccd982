"""The names that engines know: Ray's accelerators and vLLM's arguments.

They are in engine_names.json, which `python -m blended.config.engine_sources` writes. Where vLLM is
installed, its own arguments count as well.
"""

import json
import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Annotated, Any

from pydantic import AfterValidator, Field, WithJsonSchema

from blended import demo
from blended.config import model_files
from blended.config.known_keys import closest

FILE = "engine_names.json"

# A model's id: one name, or its owner's and its own, with the quantization of a GGUF file.
_ID = re.compile(r"[A-Za-z0-9_][\w.-]*(/[\w.-]+(:[\w.-]+)?)?", re.ASCII)
# Beginnings of a model's address that is no id: a folder, and the stores that vLLM reads.
_PLACES = ("/", "demo:", "s3://", "gs://", "az://")

# What a blend's file states elsewhere: an argument beside it would contradict it.
_ELSEWHERE = {
    "model": "engine.model",
    "served_model_name": "the component's id",
    **{
        name: f"engine.{name}"
        for name in ("tokenizer", "max_model_len", "tensor_parallel_size", "chat_template")
    },
}


def _accelerator(name: str) -> str:
    """Refuse a type of GPU that Ray does not know: its replicas would wait for it for ever."""
    if name != "cpu" and name not in accelerators():
        near = closest(name, ("cpu", *accelerators()))
        meant = f"did you mean '{near}'? " if near else ""
        raise ValueError(f"{meant}Write cpu, or a type that Ray knows, such as L4, L40S or H100")
    return name


def _argument(name: str) -> str:
    if name in _ELSEWHERE:
        raise ValueError(f"a blend's file states it in {_ELSEWHERE[name]}; write it there")
    if name not in arguments() and name not in _installed_arguments():
        near = closest(name, arguments())
        remedy = f"did you mean '{near}'?" if near else "remove it, or see vLLM's engine arguments"
        raise ValueError(f"vLLM has no such argument; {remedy}")
    return name


def _model(name: str) -> str:
    models = (*demo.MODEL_IDS, demo.REWARD_MODEL_ID)
    if name.startswith("demo:") and name.removeprefix("demo:") not in models:
        known = ", ".join(f"demo:{model}" for model in demo.MODEL_IDS)
        raise ValueError(f"there is no such demo model; write one of {known}")
    if name in demo.MODEL_IDS:
        raise ValueError(f"that is a demo model; write demo:{name}")
    if "huggingface.co/" in name:
        raise ValueError(f"write the id alone: {name.partition('huggingface.co/')[2]}")
    if not name.startswith((*_PLACES, *model_files.RELATIVE)) and not _ID.fullmatch(name):
        raise ValueError(
            "write a Hugging Face id, such as Qwen/Qwen3-8B, or a folder that begins with / or ./"
        )
    return name


def accelerators() -> list[str]:
    """Ray's types of accelerators."""
    return list(_names()["accelerators"])


def arguments() -> list[str]:
    """The arguments of vLLM's engine and of its API server."""
    return list(argument_types())


def argument_types() -> Mapping[str, str | list[str] | None]:
    """The type of each argument, or the texts that it may be; None for all other types."""
    found: Mapping[str, str | list[str] | None] = _names()["vllm_arguments"]
    return found


@cache
def _names() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        (resources.files("blended.config") / FILE).read_text("utf-8")
    )
    return found


@cache
def _installed_arguments() -> frozenset[str]:
    """Those of the vLLM that is installed, which may be another version than the file's."""
    from blended.config import engine_sources

    return frozenset(name for name, _ in engine_sources.vllm_arguments())


AcceleratorName = Annotated[
    str,
    AfterValidator(_accelerator),
    WithJsonSchema({"type": "string", "enum": ["cpu", *accelerators()]}),
]
EngineArgument = Annotated[str, AfterValidator(_argument)]
ModelName = Annotated[str, Field(min_length=1), AfterValidator(_model)]
