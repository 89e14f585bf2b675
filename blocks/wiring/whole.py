"""Products of packed matrices by the kernels, which multiply whole numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from blocks.ops import native

__all__: list[str] = []


def ready(parts: Sequence[Any], rows: Tensor, most: int) -> bool:
    """Whether a kernel may multiply rows by these, one by `most`, and is the quicker way."""
    prepared = all(part.quick and part.bits == parts[0].bits for part in parts)
    return prepared and 0 < most <= native.FEW_PACKED and native.suits(rows)


def multiplied(name: str, parts: Sequence[Any], rows: Tensor, *more: Any) -> Tensor:
    """What the kernel of this name makes of rows [N D] and matrices of as many bits each."""
    kept = [p.packed for p in parts], [p.scale for p in parts], [p.out_dim for p in parts]
    return getattr(torch.ops.blocks, f"{name}{parts[0].bits}")(rows, *kept, *more)
