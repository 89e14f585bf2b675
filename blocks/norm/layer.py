"""Layer norm: a vector with its mean taken off, divided by its spread."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blocks.ops.check import check_positive

__all__ = ["LayerNorm"]


class LayerNorm(nn.Module):
    r"""y = (x − mean(x)) / √(var(x) + eps) · w + b        Ba et al., 2016, arXiv:1607.06450

    Args:
        dim: width D.
        eps: added under the root.
        weight: whether there is a weight.
        bias: whether there is a bias.

    Shapes: [... D] -> [... D].

    Example:
        >>> import torch
        >>> from blocks import LayerNorm
        >>> LayerNorm(2, weight=False, bias=False)(torch.tensor([1.0, 3.0]))
        tensor([-1.0000,  1.0000])
    """

    def __init__(self, dim: int, *, eps: float = 1e-5, weight: bool = True, bias: bool = True):
        super().__init__()
        check_positive("LayerNorm", dim=dim, eps=eps)
        self.dim, self.eps = dim, eps
        self.weight = nn.Parameter(torch.empty(dim)) if weight else None
        self.bias = nn.Parameter(torch.empty(dim)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        if self.weight is not None:
            nn.init.ones_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, (self.dim,), self.weight, self.bias, self.eps)
