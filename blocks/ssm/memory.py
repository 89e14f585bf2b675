"""What state-space layers remember."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from blocks.state import Content

__all__ = ["Mamba2State", "MambaState", "S4State"]


@dataclass
class Mamba2State(Content):
    """The sums over all tokens [B H N P], and the last ones before the convolution [B k−1 C]."""

    wide = ("sums",)
    sums: Tensor
    tail: Tensor


@dataclass
class MambaState(Content):
    """What each channel sums over all tokens [B N C], and the last before the conv [B k−1 C]."""

    wide = ("sums",)
    sums: Tensor
    tail: Tensor


@dataclass
class S4State(Content):
    """What each channel's recurrence holds, [B D N]; of complex numbers both parts in turn."""

    wide = ("hidden",)
    hidden: Tensor
