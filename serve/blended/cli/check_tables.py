"""What a blend will deploy: components, parameters resident and active, GPUs, memory."""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console

from blended.cli import layout
from blended.config import (
    AnyComponent,
    BlendConfig,
    Engine,
    VllmComponent,
    VllmReward,
    engine_files,
    gpu_shares,
    model_files,
)
from blended.errors import ConfigError
from blended.folders import state_dir
from blended.learning.policy_files import FOLDER, usable
from blended.router.selection import normalise

_BYTES = {"float32": 4, "float": 4, "fp8": 1}


@dataclass(frozen=True)
class ComponentRow:
    """One component's share and its cost; None if a value is unknown or the component is remote.

    `cache_tokens` are the tokens of KV cache for which its share of a GPU has room, as predicted.
    """

    id: str
    kind: str
    model: str
    share: float
    parameters: float | None
    replicas: tuple[int, int] | None
    gpus_per_replica: float
    accelerator: str
    weight_bytes: float | None
    cache_tokens: int | None = None


def rows(blend: BlendConfig) -> list[ComponentRow]:
    """One row for each component, in the order of the file."""
    distribution = normalise(blend.weights)
    return [
        _row(component, share)
        for component, share in zip(blend.components, distribution.probabilities, strict=True)
    ]


def resident_parameters(rows: list[ComponentRow]) -> float | None:
    """Parameters in memory at once, one replica of every local component; None if unknown."""
    return _total([row.parameters for row in rows if row.replicas is not None])


def active_parameters(rows: list[ComponentRow]) -> float | None:
    """Expected parameters that compute a response: the sum of share times parameters."""
    return _total([row.parameters and row.share * row.parameters for row in rows if row.share > 0])


def document(blend: BlendConfig) -> dict[str, Any]:
    """The summary for programs; None where a value is unknown."""
    found = rows(blend)
    return {
        "name": blend.name,
        "components": [asdict(row) for row in found],
        "resident_parameters": resident_parameters(found),
        "active_parameters": active_parameters(found),
        "reward": _reward(blend),
        "gpus": [_gpus(blend, 0), _gpus(blend, 1)],
        "notes": [*shares(blend), *engine_files.notes(blend), *policies(blend)],
    }


def show(console: Console, blend: BlendConfig) -> None:
    """Print the summary for people."""
    found = rows(blend)
    ends = _gpus(blend, 0), _gpus(blend, 1)
    layout.show(
        console,
        ("component", "kind", "model", "share", "parameters", "replicas", "GPUs", "model size"),
        [_cells(row) for row in found],
        title=f"{blend.name}: {len(found)} component{'s' if len(found) > 1 else ''}",
        caption=(
            f"{_count(resident_parameters(found))} parameters resident, "
            f"{_count(active_parameters(found))} active per response on average, "
            f"{_range(ends)} GPU{'' if ends == (1, 1) else 's'}"
        ),
    )
    for line in (*shares(blend), *_candidates(blend)):
        layout.say(console, line)
    for note in (*engine_files.notes(blend), *policies(blend)):
        layout.say(console, f"Note: {note}")


def _cells(row: ComponentRow) -> list[str]:
    return [
        row.id,
        row.kind,
        row.model,
        f"{row.share:.1%}",
        _count(row.parameters),
        "" if row.replicas is None else _range(row.replicas),
        _gpu_cell(row),
        "" if row.weight_bytes is None else _size(row.weight_bytes),
    ]


def shares(blend: BlendConfig) -> list[str]:
    """One sentence for each component on a share of a GPU: the KV cache that is left there."""
    found = {row.id: row.cache_tokens for row in rows(blend)}
    return [
        f"{name}: {hardware.gpu_fraction:g} of one {hardware.accelerator}, {_cache(found[name])}"
        for name, hardware in blend.hardware.items()
        if hardware.gpu_fraction is not None and name in found
    ]


def _reward(blend: BlendConfig) -> dict[str, Any] | None:
    """The reward model, and how many candidates of which component it chooses among."""
    reward = blend.reward
    if reward is None:
        return None
    candidates = {c.id: best for c in blend.components if (best := blend.best_of(c)) is not None}
    return {
        "kind": reward.kind,
        "model": reward.engine.model if isinstance(reward, VllmReward) else None,
        "replicas": [reward.replicas.min, reward.replicas.max],
        "gpus_per_replica": reward.hardware.gpus,
        "accelerator": reward.hardware.accelerator,
        "candidates": {i: b.model_dump(exclude_none=True) for i, b in candidates.items()},
    }


def _candidates(blend: BlendConfig) -> list[str]:
    """A sentence on the reward model."""
    if (found := _reward(blend)) is None:
        return []
    replicas, gpus = _range(tuple(found["replicas"])), found["gpus_per_replica"]
    among = ", ".join(f"{best['k']} of {name}" for name, best in found["candidates"].items())
    return [
        f"reward model ({found['kind']}): {replicas} replica{'' if replicas == '1' else 's'} of "
        f"{gpus:g} GPUs; candidates for a response: {among or 'one, outside of experiments'}"
    ]


def policies(blend: BlendConfig) -> Iterator[str]:
    """What policies could not do as things are here, in sentences."""
    drawn = {name for name, weight in blend.weights.items() if weight > 0}
    for wanted in blend.policies:
        try:
            found = usable(state_dir() / FOLDER, wanted)
        except ConfigError as exc:
            yield f"{exc} Every node that holds a router needs it; without it the weights decide."
            continue
        if unknown := drawn - set(found.components):
            yield (
                f"the policy '{found.reference}' does not know '{min(unknown)}', which has a "
                "weight: the weights decide. Fit a policy to draws of all components."
            )


def _cache(tokens: int | None) -> str:
    if tokens is None:
        return (
            "KV cache unknown: state parameters and kv_bytes_per_token (the accelerator must be "
            f"one of {', '.join(gpu_shares.CARD_GIB)})"
        )
    return f"KV cache for {tokens:,} tokens (predicted)"


def _row(component: AnyComponent, share: float) -> ComponentRow:
    engine = component.engine if isinstance(component, VllmComponent) else None
    parameters = component.parameters
    if parameters is None and engine is not None:
        parameters = _counted(engine)
    size = _BYTES.get(str(engine.args.get("dtype")), 2) if engine else None
    return ComponentRow(
        id=component.id,
        kind=component.kind,
        model=engine.model if engine else getattr(component, "model", "-"),
        share=share,
        parameters=parameters,
        replicas=None if component.kind == "remote" else _replicas(component),
        gpus_per_replica=engine.gpus if engine else 0,
        accelerator=engine.accelerator if engine else "",
        weight_bytes=parameters * size if parameters and size else None,
        cache_tokens=_cache_tokens(component, parameters),
    )


def _cache_tokens(component: AnyComponent, parameters: float | None) -> int | None:
    if not isinstance(component, VllmComponent) or component.engine.gpu_fraction is None:
        return None
    engine, fraction = component.engine, component.engine.gpu_fraction
    token = component.kv_bytes_per_token or model_files.read(engine.model).kv_bytes_per_token
    memory = gpu_shares.memory(engine.accelerator, fraction, parameters, token, engine.args)
    return memory.cache_tokens if memory else None


def _replicas(component: AnyComponent) -> tuple[int, int] | None:
    replicas = getattr(component, "replicas", None)
    return (replicas.min, replicas.max) if replicas else None


def _counted(engine: Engine) -> float | None:
    """Count the parameters of a model in a folder of this machine, from its files' headers."""
    folder = model_files.folder(engine.model)
    return model_files.in_folder(folder).parameters if folder else None


def _total(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) if len(known) == len(values) else None


def _gpus(blend: BlendConfig, end: int) -> int:
    """Whole GPUs with the fewest or the most replicas; shares of one group are on the same ones."""
    engines = [one for one in blend.served if isinstance(one, VllmComponent | VllmReward)]
    return gpu_shares.gpus(
        (one.engine.replica_group or one.id, one.engine, (one.replicas.min, one.replicas.max)[end])
        for one in engines
    )


def _gpu_cell(row: ComponentRow) -> str:
    if not row.gpus_per_replica or not row.replicas:
        return "0"
    low, high = (f"{row.gpus_per_replica * n:g}" for n in row.replicas)
    return f"{low if low == high else f'{low} to {high}'} {row.accelerator}"


def _range(ends: tuple[int, int]) -> str:
    return str(ends[0]) if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"


def _size(size_bytes: float) -> str:
    exponent, unit = (30, "GiB") if size_bytes >= 2**30 else (20, "MiB")
    return f"{size_bytes / 2**exponent:.3g} {unit}"


def _count(parameters: float | None) -> str:
    if parameters is None:
        return "unknown"
    for size, letter in ((1e9, "B"), (1e6, "M")):
        if parameters >= size:
            return f"{parameters / size:.3g} {letter}"
    return f"{parameters:.0f}"
