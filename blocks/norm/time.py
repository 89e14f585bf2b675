"""Time norm: each channel of a sequence normed over time."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from blocks.ops.check import check_input, check_positive

__all__ = ["TimeNorm"]


class TimeNorm(nn.Module):
    r"""y_t = (x_t − mean_t x) / √(var_t x + eps) · w + b,    channel by channel, over real places

    Group norm with as many groups as channels (Wu & He, 2018, arXiv:1803.08494), which is the
    instance norm of Ulyanov et al., 2016, arXiv:1607.08022.

    Args:
        dim: width D.
        eps: added under the root.

    Shapes: x [B T D], real [B T] -> [B T D].

    Example:
        >>> import torch
        >>> from blocks import TimeNorm
        >>> TimeNorm(1)(torch.tensor([[[1.0], [3.0]]])).flatten().round(decimals=3)
        tensor([-1.,  1.], grad_fn=<RoundBackward1>)
    """

    def __init__(self, dim: int, *, eps: float = 1e-5):
        super().__init__()
        check_positive("TimeNorm", dim=dim, eps=eps)
        self.dim, self.eps = dim, eps
        self.weight = nn.Parameter(torch.ones(dim))
        self.bias = nn.Parameter(torch.zeros(dim))

    def reset_parameters(self) -> None:
        nn.init.ones_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor, real: Tensor | None = None) -> Tensor:
        check_input(x, self.dim, "TimeNorm")
        wide = x.to(torch.promote_types(x.dtype, torch.float32))  # B T D
        if real is None:
            centred = wide - wide.mean(1, keepdim=True)
            variance = centred.square().mean(1, keepdim=True)  # B 1 D
        else:
            count, there = real.sum(1)[:, None, None].clamp(min=1), real[..., None]
            centred = wide - (wide * there).sum(1, keepdim=True) / count
            variance = (centred * there).square().sum(1, keepdim=True) / count  # B 1 D
        normed = centred * torch.rsqrt(variance + self.eps)
        return (normed * self.weight + self.bias).to(x.dtype)  # B T D
