"""Components that share GPUs: how many cards they take, and what memory each of them has there.

A component's `gpu_fraction` is Ray's share of a card, in hundredths. Memory on cards is predicted
here, from the number of parameters and the shape of a model; nothing of it is measured.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from blended.config.components import Hardware

WHOLE = 100
_GIB = 2**30

# The part of its share that an engine may fill. The rest is for the CUDA contexts of all engines on
# the card, and for what PyTorch allocates later.
FILLED = 0.9
# What an engine keeps beside weights and KV cache: activations, CUDA graphs, its CUDA context. An
# allowance, which is not measured.
_ENGINE_BYTES = 2 * _GIB
# The memory that CUDA reports for a card, in GiB, by Ray's names of accelerators. It is less than
# the product's name says.
CARD_GIB = {
    "T4": 14.5,
    "A10G": 22.0,
    "L4": 22.0,
    "L40S": 44.3,
    "A100-40G": 39.3,
    "A100-80G": 79.1,
    "H100": 79.1,
    "H200": 139.7,
    "B200": 178.3,
}
_WEIGHT_BYTES = {"float32": 4, "float": 4}
_CACHE_BYTES = {"fp8": 1, "fp8_e4m3": 1, "fp8_e5m2": 1}


def hundredths(fraction: float) -> int:
    """A share of a card in hundredths, so that sums are exact."""
    return round(WHOLE * fraction)


def utilization(fraction: float) -> float:
    """vLLM's `gpu_memory_utilization`, the part of a card's memory that an engine may fill."""
    return round(FILLED * fraction, 4)


def cards(replicas: Mapping[int, int]) -> int:
    """The cards on which all replicas find a place, in whatever order they come and go.

    `replicas` are counts by share, in hundredths. A card refuses a replica of share s if it is full
    beyond 100 - s. With shares of other sizes the emptiest such card is full up to
    `_least_full(s)`, so that all other replicas together can block so many cards, and one more has
    room.
    """
    counts = {share: count for share, count in replicas.items() if count}
    total = sum(share * count for share, count in counts.items())
    needed = ((total - share) // _least_full(share, counts) + 1 for share in counts)
    return max(needed, default=0)


def most_on_a_card(amounts: Iterable[tuple[int, float]], room: int = WHOLE) -> float:
    """The largest sum of amounts in the room of a card; each comes with a share in hundredths.

    An unbounded knapsack: a share may stand on a card as often as it fits.
    """
    found = [0.0]
    pairs = list(amounts)
    for left in range(1, room + 1):
        fitting = (found[left - share] + amount for share, amount in pairs if share <= left)
        found.append(max(fitting, default=0.0))
    return found[room]


def gpus(parts: Iterable[tuple[str, Hardware, int]]) -> int:
    """The whole GPUs that replicas take: hardware with its replica group and a count.

    Shares of one group are on the same cards, and no others are there.
    """
    whole, shared = 0, dict[str, Counter[int]]()
    for group, hardware, count in parts:
        if hardware.gpu_fraction is None or not hardware.gpus:
            whole += math.ceil(hardware.gpus) * count
        else:
            of_group = shared.setdefault(group, Counter())
            of_group[hundredths(hardware.gpu_fraction)] += count
    return whole + sum(cards(counts) for counts in shared.values())


@dataclass(frozen=True)
class EngineMemory:
    """The memory of one engine on its share of a card, in bytes; a prediction.

    `cache_token` are the bytes of KV cache for one token; None if the model's shape is unknown.
    """

    share: float
    weights: float
    cache_token: float | None

    @property
    def cache(self) -> float:
        """The memory that is left for the KV cache; negative if not even the weights fit."""
        return self.share - self.weights - _ENGINE_BYTES

    @property
    def cache_tokens(self) -> int | None:
        """The tokens whose keys and values fit; None if the model's shape is unknown."""
        return None if self.cache_token is None else max(0, int(self.cache // self.cache_token))

    def needed(self, tokens: int) -> float:
        """The memory with a cache of so many tokens, of none if the model's shape is unknown."""
        return self.weights + _ENGINE_BYTES + tokens * (self.cache_token or 0)


def memory(
    accelerator: str,
    fraction: float,
    parameters: float | None,
    cache_token: float | None,
    args: Mapping[str, Any],
) -> EngineMemory | None:
    """The memory of an engine with these arguments; None if the card or the weights are unknown."""
    size = _weight_bytes(args)
    if accelerator not in CARD_GIB or parameters is None or size is None:
        return None
    share = CARD_GIB[accelerator] * _GIB * utilization(fraction)
    if cache_token is not None:
        cache_token *= _CACHE_BYTES.get(str(args.get("kv_cache_dtype")), 2) / 2
    return EngineMemory(share, parameters * size, cache_token)


def least_fraction(accelerator: str, needed: float) -> float:
    """The smallest share of a card whose memory suffices; above 1 if a whole card does not."""
    part = needed / (CARD_GIB[accelerator] * _GIB * FILLED)
    return math.ceil(round(WHOLE * part, 6)) / WHOLE


def _weight_bytes(args: Mapping[str, Any]) -> float | None:
    """Bytes of a parameter; None for formats of fewer bits, whose sizes differ by model."""
    quantization = args.get("quantization")
    if quantization is not None:
        return 1 if quantization == "fp8" else None
    return _WEIGHT_BYTES.get(str(args.get("dtype")), 2)


def _least_full(share: int, shares: Iterable[int]) -> int:
    """How full a card is at the least that has no room for one more of this share."""
    reached = {0}
    for level in range(1, WHOLE + 1):
        if any(level - other in reached for other in shares):
            reached.add(level)
    return min(level for level in reached if level > WHOLE - share)
