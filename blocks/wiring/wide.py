"""Widen: 16-bit activations as float32, so that all layers add to a sum in float32."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from blocks.ops.check import check_positive, check_width

__all__ = ["Widen"]


class Widen(nn.Module):
    r"""y = x,    in at least float32

    As the stem of a model it keeps the sum of its layers in float32 while the layers themselves run
    in the 16 bits of their weights, to which a norm rounds (`RMSNorm` with `cast="statistics"`):
    `residual_in_fp32` of Gu and Dao, "Mamba", 2023, arXiv:2312.00752. It leaves float32 and float64
    as they are.

    Args:
        dim: width D.

    Shapes: [... D] -> [... D].

    Example:
        >>> import torch
        >>> from blocks import Widen
        >>> Widen(2)(torch.ones(1, 2, dtype=torch.bfloat16))
        tensor([[1., 1.]])
    """

    def __init__(self, dim: int):
        super().__init__()
        check_positive("Widen", dim=dim)
        self.dim = dim

    def forward(self, x: Tensor) -> Tensor:
        check_width(x, self.dim, "Widen")
        return x.to(torch.promote_types(x.dtype, torch.float32))
