"""What a layer remembers that corrects its memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from blocks.state import Content

__all__ = ["DeltaState"]


@dataclass
class DeltaState(Content):
    """The memory of each head [B H E V], and the last tokens [B kernel−1 C] before the convs."""

    timeless = True
    memory: Tensor
    tail: Tensor

    @classmethod
    def empty(
        cls,
        batch: int,
        memory: tuple[int, int, int],
        tail: tuple[int, int],
        dtype: torch.dtype,
        device: Any,
    ) -> DeltaState:
        """That before the first token, of these sizes; a memory is in at least float32."""
        wide = torch.promote_types(dtype, torch.float32)
        return cls(
            torch.zeros(batch, *memory, dtype=wide, device=device),
            torch.zeros(batch, *tail, dtype=dtype, device=device),
        )
