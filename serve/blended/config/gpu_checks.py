"""Checks of the shares of GPUs that components have, on the raw data of a blend.

The data may have other mistakes, which are reported elsewhere: every check skips unusable data.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from blended.config import gpu_shares, model_files
from blended.config.inconsistency import Inconsistency, Path, error, is_number

_HARDWARE = {"vllm": "engine", "simulated": "simulation"}
# Arguments by which an engine would take another part of the card than the share says.
_MEMORY_ARGS = ("gpu_memory_utilization", "kv_cache_memory_bytes")
_PARALLEL_ARGS = ("pipeline_parallel_size", "data_parallel_size")
_GIB = 2**30


@dataclass(frozen=True)
class _Member:
    """A component with the raw data of its hardware, which stands at `path`."""

    id: str
    path: Path
    hardware: Mapping[str, Any]
    component: Mapping[str, Any]

    @property
    def fraction(self) -> Any:
        return self.hardware.get("gpu_fraction")

    @property
    def share(self) -> int | None:
        """The share in hundredths; None if there is none, or it is reported elsewhere."""
        given: Any = self.fraction
        usable = is_number(given) and 0 < given < 1
        return gpu_shares.hundredths(given) if usable else None

    @property
    def accelerator(self) -> Any:
        return self.hardware.get("accelerator", "cpu")

    @property
    def args(self) -> Mapping[str, Any]:
        found = self.hardware.get("args")
        return found if isinstance(found, Mapping) else {}


def of_components(rows: Sequence[tuple[Path, Mapping[str, Any]]]) -> Iterator[Inconsistency]:
    """Every mistake in the shares of components; `rows` are they, with their places."""
    members = [member for at, component in rows if (member := _member(at, component)) is not None]
    for member in members:
        if member.share is not None:
            yield from _alone(member)
            yield from _memory(member)
    groups: dict[str, list[_Member]] = {}
    for member in members:
        if isinstance(group := member.hardware.get("replica_group"), str):
            groups.setdefault(group, []).append(member)
    for group, found in groups.items():
        yield from _together(group, found)


def _member(at: Path, component: Mapping[str, Any]) -> _Member | None:
    key = _HARDWARE.get(str(component.get("kind")))
    hardware = component.get(key) if key else None
    if key is None or not isinstance(hardware, Mapping):
        return None
    return _Member(str(component.get("id")), (*at, key), hardware, component)


def _alone(member: _Member) -> Iterator[Inconsistency]:
    path = (*member.path, "gpu_fraction")
    if member.accelerator == "cpu":
        message = "a share of a GPU needs a GPU; name its accelerator, or leave gpu_fraction out"
        yield path, member.fraction, error(message)
    parallel = {"tensor_parallel_size": member.hardware.get("tensor_parallel_size")}
    parallel |= {name: member.args.get(name) for name in _PARALLEL_ARGS}
    for name, size in parallel.items():
        if isinstance(size, int) and size > 1:
            message = f"{name} {size} takes {size} whole GPUs; leave it out, or leave out "
            yield path, member.fraction, error(f"{message}gpu_fraction")
    for name in _MEMORY_ARGS:
        if name in member.args:
            message = f"gpu_fraction {member.fraction:g} decides the engine's memory; leave it out"
            yield (*member.path, "args", name), member.args[name], error(message)


def _memory(member: _Member) -> Iterator[Inconsistency]:
    """Weights, and the KV cache of one response, below which vLLM does not start."""
    model = member.hardware.get("model")
    if not isinstance(model, str):
        return
    files = model_files.read(model)
    parameters = _stated(member, "parameters") or files.parameters
    token = _stated(member, "kv_bytes_per_token") or files.kv_bytes_per_token
    kind = str(member.accelerator)
    found = gpu_shares.memory(kind, member.fraction, parameters, token, member.args)
    longest: Any = member.hardware.get("max_model_len")
    tokens = int(longest) if is_number(longest) and found and found.cache_token else 0
    if found is None or found.needed(tokens) <= found.share:
        return
    cache = f", and the KV cache of one response of {tokens} tokens" if tokens else ""
    least = gpu_shares.least_fraction(kind, found.needed(tokens))
    remedy = f"write {least:g} or more" if least < 1 else "take whole GPUs, or larger ones"
    message = (
        f"{member.fraction:g} of one {kind} is {found.share / _GIB:.1f} GiB for the engine, and it "
        f"takes {found.needed(tokens) / _GIB:.1f}: weights of {found.weights / _GIB:.1f} GiB, the "
        f"engine's own 2{cache}; {remedy}"
    )
    yield (*member.path, "gpu_fraction"), member.fraction, error(message)


def _stated(member: _Member, name: str) -> float | None:
    """A number of the component; PyYAML takes 8.19e9, without a sign, for a text."""
    try:
        return float(member.component[name])
    except (KeyError, TypeError, ValueError):
        return None


def _together(group: str, members: Sequence[_Member]) -> Iterator[Inconsistency]:
    sharing = [member for member in members if member.share is not None]
    if not sharing:
        return
    first = sharing[0]
    for other in members:
        if other.accelerator != first.accelerator:
            message = (
                f"'{other.id}' is on {other.accelerator} and '{first.id}' on {first.accelerator}, "
                f"in one replica group, '{group}'; components that share GPUs name the same one"
            )
            yield (*other.path, "accelerator"), other.accelerator, error(message)
        elif other.fraction is None:
            message = (
                f"'{other.id}' takes a whole GPU in the group '{group}', in which '{first.id}' has "
                "a share of one; give it a gpu_fraction, or a replica group of its own"
            )
            yield (*other.path, "replica_group"), group, error(message)
    total = sum(member.share or 0 for member in sharing)
    if total > gpu_shares.WHOLE:
        parts = ", ".join(f"'{member.id}' {member.fraction:g}" for member in sharing)
        message = (
            f"the shares of the group '{group}' ({parts}) are {total / gpu_shares.WHOLE:g} of a "
            "GPU, and one card must hold a replica of each; lower one of them, or give one of the "
            "components a replica group of its own"
        )
        yield (*sharing[-1].path, "gpu_fraction"), sharing[-1].fraction, error(message)
