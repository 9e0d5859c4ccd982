"""A head start for copying: the weights begin with an induction circuit (Olsson et al., 2022).

Layer 0 notes the previous token. Layer 1 finds the earlier place of the current token and copies
the token after it. Training starts from there.
"""

import math

import torch
from torch import Tensor

from blended.demo.model import ROPE_THETA, Block, TinyLlama

CONSTANT = 0
_CONSTANT_SIZE = 0.2
_FAST_PAIRS = 6
_FIRST_SLOW_PAIR = 5
_SHARPNESS = 8.0
_MATCH = 1.8
_WRITE = 0.05
_COPY = 0.3
_COPY_HEADS = 2


@torch.no_grad()
def install(net: TinyLlama) -> None:
    """Overwrites parts of the first two layers; needs two layers and two heads at least."""
    shape = net.shape
    note = torch.arange(shape.hidden - shape.head_dim, shape.hidden)
    content = torch.arange(CONSTANT + 1, shape.hidden - shape.head_dim)
    net.embedding.weight[:, CONSTANT] = _CONSTANT_SIZE
    net.embedding.weight[:, note] = 0.0
    who = _directions(shape.head_dim, content, shape.hidden)
    first, second = net.blocks[0], net.blocks[1]
    assert isinstance(first, Block)
    assert isinstance(second, Block)
    _look_one_back(first, who, note)
    for head in range(_COPY_HEADS):
        _look_after_match(second, head, who, note, content)


def _look_one_back(block: Block, who: Tensor, note: Tensor) -> None:
    """Head 0 attends to the previous token and writes its identity into the note dimensions.

    A constant query and the same vector, rotated by one position, as key meet at distance one.
    """
    size = block.shape.head_dim
    half = size // 2
    query, key, value = block.qkv.weight.chunk(3)
    query[:size], key[:size] = 0.0, 0.0
    for pair in range(_FAST_PAIRS):
        angle = ROPE_THETA ** (-2 * pair / size)
        query[pair, CONSTANT] = _SHARPNESS / 4
        key[pair, CONSTANT] = math.cos(angle) * _SHARPNESS / 4
        key[pair + half, CONSTANT] = math.sin(angle) * _SHARPNESS / 4
    value[:size] = who
    block.out.weight[:, :size] = 0.0
    block.out.weight[note, torch.arange(size)] = _WRITE


def _look_after_match(block: Block, head: int, who: Tensor, note: Tensor, content: Tensor) -> None:
    """A head that attends to places whose note names the current token, and copies the token there.

    Only slowly rotating pairs take part, so that the distance hardly matters.
    """
    size = block.shape.head_dim
    rows = slice(head * size, (head + 1) * size)
    slow = torch.arange(size) % (size // 2) >= _FIRST_SLOW_PAIR
    query, key, value = block.qkv.weight.chunk(3)
    query[rows], key[rows] = 0.0, 0.0
    query[rows] = _MATCH * who * slow[:, None]
    key[head * size + torch.arange(size), note] = _MATCH * slow.float()
    what = _directions(size, content, block.shape.hidden)
    value[rows] = what
    block.out.weight[:, rows] = _COPY * what.T


def _directions(count: int, dimensions: Tensor, width: int) -> Tensor:
    """Random orthonormal rows that read only the given dimensions."""
    rows = torch.zeros(count, width)
    rows[:, dimensions] = torch.linalg.qr(torch.randn(len(dimensions), count))[0].T
    return rows
