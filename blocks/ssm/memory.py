"""What state-space layers remember."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from blocks.state import Content

__all__ = ["Mamba2State", "MambaState", "S4State"]


@dataclass
class Summed(Content):
    """Sums over all tokens, and the last tokens before a convolution."""

    timeless = True
    wide = ("sums",)
    sums: Tensor
    tail: Tensor

    @classmethod
    def empty(
        cls,
        batch: int,
        sums: tuple[int, ...],
        tail: tuple[int, int],
        dtype: torch.dtype,
        device: Any,
    ) -> Self:
        """That before the first token, of these sizes; sums are in at least float32."""
        wide = torch.promote_types(dtype, torch.float32)
        return cls(
            torch.zeros(batch, *sums, dtype=wide, device=device),
            torch.zeros(batch, *tail, dtype=dtype, device=device),
        )


@dataclass
class Mamba2State(Summed):
    """The sums over all tokens [B H N P], and the last ones before the convolution [B k−1 C]."""


@dataclass
class MambaState(Summed):
    """What each channel sums over all tokens [B N C], and the last before the conv [B k−1 C]."""


@dataclass
class S4State(Content):
    """What each channel's recurrence holds, [B D N]; of complex numbers both parts in turn.

    Attributes:
        of: which recurrence, for others are of the same sizes.
    """

    timeless = True
    wide = ("hidden",)
    hidden: Tensor
    of: str


def start_steps(bias: Tensor) -> None:
    """Fills a bias, of which softplus makes steps of 0.001 to 0.1."""
    dt = bias.uniform_(math.log(1e-3), math.log(1e-1)).exp_()
    dt.add_((-(-dt).expm1()).log())  # softplus gives dt back
