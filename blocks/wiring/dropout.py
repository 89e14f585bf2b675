"""Dropout: channels are left out at random while a model learns."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from blocks.ops.check import check_positive, check_rate, check_width

__all__ = ["Dropout"]


class Dropout(nn.Module):
    r"""y = x ⊙ b / (1 − rate), b drawn from Bernoulli(1 − rate) in training; y = x otherwise

    Srivastava et al., "Dropout", 2014. A step of a Chain, where no block beside it drops.

    Args:
        dim: width D.
        dropout: the rate.

    Shapes: [... D] -> [... D].

    Example:
        >>> import torch
        >>> from blocks import Dropout
        >>> Dropout(2, dropout=0.5).eval()(torch.ones(1, 2))
        tensor([[1., 1.]])
    """

    def __init__(self, dim: int, *, dropout: float):
        super().__init__()
        check_positive("Dropout", dim=dim)
        check_rate("Dropout", dropout=dropout)
        self.dim, self.dropout = dim, dropout

    def forward(self, x: Tensor) -> Tensor:
        check_width(x, self.dim, "Dropout")
        return torch.dropout(x, self.dropout, self.training)
