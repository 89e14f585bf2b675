"""What a layer remembers that corrects its memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from blocks.conv.causal import CausalConv
from blocks.state import Content

__all__ = ["DeltaState"]


@dataclass
class DeltaState(Content):
    """The memory of each head [B H E V], and the last tokens [B kernel−1 C] before the conv."""

    memory: Tensor
    tail: Tensor

    @classmethod
    def empty(
        cls, batch: int, sizes: tuple[int, int, int], conv: CausalConv, **like: Any
    ) -> DeltaState:
        """That before the first token, given H, E and V; `like` is dtype and device."""
        wide = like | {"dtype": torch.promote_types(like["dtype"], torch.float32)}
        tail = torch.zeros(batch, conv.kernel - 1, conv.dim, **like)
        return cls(torch.zeros(batch, *sizes, **wide), tail)
