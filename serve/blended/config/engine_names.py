"""The names that engines know: Ray's accelerators and vLLM's arguments.

They are in engine_names.json, which `python -m blended.config.engine_sources` writes. Where vLLM is
installed, its own arguments count as well.
"""

import json
from functools import cache
from importlib import resources
from typing import Annotated, Any

from pydantic import AfterValidator, Field, WithJsonSchema

from blended import demo
from blended.config.known_keys import closest

FILE = "engine_names.json"

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
    if name.startswith("demo:") and name.removeprefix("demo:") not in demo.MODEL_IDS:
        known = ", ".join(f"demo:{model}" for model in demo.MODEL_IDS)
        raise ValueError(f"there is no such demo model; write one of {known}")
    return name


def accelerators() -> list[str]:
    """Ray's types of accelerators."""
    return list(_names()["accelerators"])


def arguments() -> list[str]:
    """The arguments of vLLM's engine and of its API server."""
    return list(_names()["vllm_arguments"])


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

    return frozenset(engine_sources.vllm_arguments())


AcceleratorName = Annotated[
    str,
    AfterValidator(_accelerator),
    WithJsonSchema({"type": "string", "enum": ["cpu", *accelerators()]}),
]
EngineArgument = Annotated[str, AfterValidator(_argument)]
ModelName = Annotated[str, Field(min_length=1), AfterValidator(_model)]
