"""Rows of several matrices, multiplied by one kernel of a GPU, which alone knows whose is which."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from blocks.ops import gpu
from blocks.ops.dispatch import in_order, summed
from blocks.ops.together import hooked
from blocks.ops.watch import looking

__all__: list[str] = []

MANY = 32  # rows a matrix from which on they repay laying the matrices side by side
_ALIGNED = 8  # of 16 bits, which are 16 bytes

Product = Callable[[Tensor, Sequence[Any]], Tensor]


def suits(rows: int, x: Tensor, matrices: Sequence[Sequence[Any]]) -> bool:
    """Whether a kernel multiplies so many rows by matrices of which each list is alike."""
    if not gpu.multiplies_groups(x) or rows < MANY * len(matrices[0]) or looking():
        return False
    parts = [part for some in matrices for part in some]
    narrow = all(part.weight.dtype == x.dtype and not hooked(part) for part in parts)
    return narrow and aligned(matrices)


def aligned(matrices: Sequence[Sequence[Any]]) -> bool:
    """Whether all rows begin where a kernel can read them."""
    return all(n % _ALIGNED == 0 for some in matrices for n in some[0].weight.shape)


def dispatch_grouped(
    x: Tensor, weights: Tensor, chosen: Tensor, experts: int, mix: Callable[..., Tensor]
) -> Tensor:
    """The same as `dispatch`, without ever telling the processor who was chosen.

    Args:
        x: [N D].
        weights: [N k].
        chosen: [N k] int.
        experts: how many there are.
        mix: function (rows [N·k D], product) -> [N·k D], of all experts at once: `product(rows,
            parts)` is each row times the matrix of its expert among `parts`.
    """
    weights, names, by_expert = in_order(weights, chosen)
    numbers = torch.arange(1, experts + 1, dtype=names.dtype, device=names.device)
    ends = torch.searchsorted(names, numbers).to(torch.int32)  # X

    def product(rows: Tensor, parts: Sequence[Any]) -> Tensor:
        stacked = torch.stack([part.weight for part in parts])  # X O D
        y = F.grouped_mm(rows, stacked.transpose(-2, -1), offs=ends)  # N·k O
        if parts[0].bias is None:
            return y
        return y + torch.stack([part.bias for part in parts])[names]

    rows = x.repeat_interleave(chosen.shape[1], 0)[by_expert]
    return summed(mix(rows, product), by_expert, weights, x)  # N D
