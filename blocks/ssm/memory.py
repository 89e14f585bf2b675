"""What state-space layers remember."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from blocks.state import Content

__all__ = ["Mamba2State"]


@dataclass
class Mamba2State(Content):
    """The sums over all tokens [B H N P], and the last ones before the convolution [B k−1 C]."""

    sums: Tensor
    tail: Tensor
