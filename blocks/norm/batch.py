"""Batch norm: channels normed by what they were like over the training data."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blocks.ops.check import check_positive, check_width
from blocks.step import Step

__all__ = ["BatchNorm"]

_MOMENTUM = 0.1  # of a batch in the running statistics


class BatchNorm(nn.Module):
    r"""y = (x − mean) / √(variance + eps) · w + b,    channel by channel

    In training the statistics are those of the batch's real tokens, and the buffers `mean` and
    `variance` follow them; in evaluation they are the buffers. Ioffe & Szegedy, 2015,
    arXiv:1502.03167.

    Args:
        dim: width D.
        eps: added under the root.

    Shapes: [... D] -> [... D].

    Example:
        >>> import torch
        >>> from blocks import BatchNorm
        >>> BatchNorm(2).eval()(torch.tensor([[1.0, 3.0]])).round(decimals=3)
        tensor([[1., 3.]], grad_fn=<RoundBackward1>)
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, dim: int, *, eps: float = 1e-5):
        super().__init__()
        check_positive("BatchNorm", dim=dim, eps=eps)
        self.dim, self.eps = dim, eps
        self.weight = nn.Parameter(torch.empty(dim))
        self.bias = nn.Parameter(torch.empty(dim))
        self.register_buffer("mean", torch.empty(dim))
        self.register_buffer("variance", torch.empty(dim))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.ones_(self.weight)
        nn.init.zeros_(self.bias)
        nn.init.zeros_(self.mean)
        nn.init.ones_(self.variance)

    def forward(self, x: Tensor, step: Step | None = None) -> Tensor:
        check_width(x, self.dim, "BatchNorm")
        real = None if step is None else step.real
        if not self.training:
            return self._normed(x, self.mean.to(x.dtype), self.variance.to(x.dtype))
        rows = x.flatten(0, -2) if real is None else x[real]  # N D
        normed = self._normed(rows, self.mean, self.variance)
        if real is None:
            return normed.view_as(x)
        return torch.zeros_like(x).masked_scatter(real[..., None], normed)

    def _normed(self, x: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
        rows = x.flatten(0, -2)
        how = (self.weight, self.bias, self.training, _MOMENTUM, self.eps)
        return F.batch_norm(rows, mean, variance, *how).view_as(x)
