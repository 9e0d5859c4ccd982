"""Checks between the fields of a blend's configuration, on the raw data.

The data may have other mistakes, which are reported elsewhere: every check skips unusable data.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import pairwise
from math import inf
from typing import Any

from blended import demo
from blended.config import (
    argument_checks,
    best_of_checks,
    experiment_checks,
    gpu_checks,
    policy_checks,
    remote_checks,
)
from blended.config.components import Replicas
from blended.config.inconsistency import Inconsistency, Path, error, is_number
from blended.config.service import RouterReplicas

# The least and the greatest value that the API of vLLM takes.
_RANGES = {
    "temperature": (0, inf),
    "top_p": (0, 1),
    "top_k": (-1, inf),
    "min_p": (0, 1),
    "presence_penalty": (-2, 2),
    "frequency_penalty": (-2, 2),
    "repetition_penalty": (0, inf),
    "max_tokens": (1, inf),
    "n": (1, inf),
}


def inconsistencies(data: Any) -> list[Inconsistency]:
    """Every contradiction in a blend's raw data: its path, the value, and the mistake."""
    if not isinstance(data, Mapping):
        return []
    components = data.get("components")
    if not isinstance(components, list | tuple):
        # What names components would be wrong only for want of them.
        return []
    rows = [(i, c) for i, c in enumerate(components) if isinstance(c, Mapping)]
    found = [*_ids(rows, data.get("name")), *_weights(rows, data.get("selection"))]
    if not components:
        found.append((("components",), [], error("a blend needs at least one component")))
    for index, component in rows:
        found += _bounds(index, component)
        found += _no_chat(index, component)
        found += remote_checks.of_component(index, component)
    served: list[tuple[Path, Mapping[str, Any]]] = [(("components", i), c) for i, c in rows]
    if (reward := best_of_checks.member(data)) is not None:
        served.append(reward)
    for path, one in served:
        found += argument_checks.of_component(path, one)
        found += _replicas((*path, "replicas"), one.get("replicas"), Replicas())
    found += gpu_checks.of_components(served)
    found += best_of_checks.of_data(data, rows)
    router = data.get("router")
    if isinstance(router, Mapping):
        found += _replicas(("router", "replicas"), router.get("replicas"), RouterReplicas())
    ids = [c["id"] for _, c in rows if isinstance(c.get("id"), str)]
    found += experiment_checks.of_data(data, ids)
    found += policy_checks.of_data(data, ids)
    return found


def _ids(rows: list[tuple[int, Mapping[str, Any]]], blend: Any) -> Iterator[Inconsistency]:
    counts = Counter(c.get("id") for _, c in rows if isinstance(c.get("id"), str))
    for index, component in rows:
        name = component.get("id")
        if isinstance(name, str) and counts[name] > 1:
            message = f"{counts[name]} components are called '{name}'; give each an id of its own"
            yield ("components", index, "id"), name, error(message)
        if isinstance(name, str) and name == blend:
            message = f"'{name}' is also the name of the blend; a model id can mean only one thing"
            yield ("components", index, "id"), name, error(message)


def _weights(rows: list[tuple[int, Mapping[str, Any]]], selection: Any) -> Iterator[Inconsistency]:
    weights = selection.get("weights") if isinstance(selection, Mapping) else None
    if not isinstance(weights, Mapping):
        return
    path: Path = ("selection", "weights")
    ids = list(dict.fromkeys(c["id"] for _, c in rows if isinstance(c.get("id"), str)))
    for name, weight in weights.items():
        # A key that YAML reads as no text is reported elsewhere.
        if isinstance(name, str) and name not in ids:
            message = f"there is no component '{name}'; the components are {', '.join(ids)}"
            yield (*path, str(name)), weight, error(message)
    is_text = all(isinstance(name, str) for name in weights)
    if missing := [f"'{name}'" for name in ids if is_text and name not in weights]:
        lacks = f"component {missing[0]} has no weight"
        if len(missing) > 1:
            lacks = f"components {', '.join(missing)} have no weight"
        message = f"{lacks}; write 0 for one that must not be drawn"
        yield path, dict(weights), error(message)
    if weights and all(is_number(w) and w == 0 for w in weights.values()):
        message = "all weights are 0; give at least one component a weight above 0"
        yield path, dict(weights), error(message)


def _no_chat(index: int, component: Mapping[str, Any]) -> Iterator[Inconsistency]:
    """The demo's reward model has no chat template and no words."""
    engine = component.get("engine")
    model = f"demo:{demo.REWARD_MODEL_ID}"
    if isinstance(engine, Mapping) and engine.get("model") == model:
        message = f"{model} scores responses and gives none; write one of the demo's chat models"
        yield ("components", index, "engine", "model"), model, error(message)


def _bounds(index: int, component: Mapping[str, Any]) -> Iterator[Inconsistency]:
    sampling = component.get("sampling")
    if not isinstance(sampling, Mapping):
        return
    for name, stated in sampling.items():
        bound = {"default": stated} if is_number(stated) else stated
        if not isinstance(bound, Mapping):
            continue
        keys = ("min", "default", "max")
        given = [(key, bound[key]) for key in keys if is_number(bound.get(key))]
        path = ("components", index, "sampling", str(name))
        yield from _outside(path, dict(given), *_RANGES.get(str(name), (-inf, inf)))
        for (low, a), (high, b) in pairwise(given):
            if a > b:
                message = f"{low} {a} is above {high} {b}; keep min <= default <= max"
                yield path, dict(bound), error(message)


def _outside(
    path: Path, given: Mapping[str, float], lowest: float, highest: float
) -> Iterator[Inconsistency]:
    """Values that no engine takes: every request would be refused."""
    for key, value in given.items():
        if value < lowest:
            yield path, value, error(f"{key} {value} is too low; write {lowest} or more")
        elif value > highest:
            yield path, value, error(f"{key} {value} is too high; write {highest} or less")


def _replicas(path: Path, given: Any, defaults: Replicas) -> Iterator[Inconsistency]:
    if not isinstance(given, Mapping):
        return
    replicas = {**defaults.model_dump(), **given}
    low, high = replicas["min"], replicas["max"]
    if is_number(low) and is_number(high) and low > high:
        message = f"min {low} is above max {high}; raise max or lower min"
        yield path, dict(given), error(message)
    target, most = replicas["target_ongoing_requests"], replicas["max_ongoing_requests"]
    if is_number(target) and is_number(most) and target > most:
        message = (
            f"target_ongoing_requests {target} is above max_ongoing_requests {most}, so that "
            "autoscaling would never add a replica; lower the target or raise the maximum"
        )
        yield path, dict(given), error(message)
