"""Ray's registration of KV connectors, safe for replicas that start at the same time.

On import Ray asks the cluster's store for each connector and registers the missing ones. If another
replica registers one in between, the import would fail.
"""

from contextlib import suppress
from typing import Any

from ray.llm._internal.serve.utils.registry import ComponentRegistry

_REGISTRY: Any = ComponentRegistry
_register = _REGISTRY.register


def _register_unless_there(registry: ComponentRegistry, name: str, value: Any) -> None:
    with suppress(ValueError):
        _register(registry, name, value)


_REGISTRY.register = _register_unless_there
import ray.llm._internal.serve.engines.vllm.kv_transfer.factory  # noqa: E402, F401

_REGISTRY.register = _register
