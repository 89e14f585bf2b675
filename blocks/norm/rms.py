"""Root-mean-square norm: a vector divided by its size, with no mean taken off."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blocks.ops import learnt, native
from blocks.ops.check import check_number, check_positive, check_width

__all__ = ["RMSNorm"]


class RMSNorm(nn.Module):
    r"""y = x / √(mean(x²) + eps) · (offset + w)        Zhang & Sennrich, 2019, arXiv:1910.07467

    Models differ in where 16-bit values are rounded, which `cast` says; in float32 all are equal.

    Args:
        dim: width D.
        eps: added under the root.
        offset: added to the weight: 1 where checkpoints store w − 1 (Gemma).
        weight: whether there is a weight.
        cast: `before` rounds x / rms and then multiplies (LLaMA); `after` multiplies in float32
            and then rounds (Gemma, OLMo 2); `statistics` takes only the mean in float32 (T5), and
            rounds to the weight's dtype where x is a sum in float32 (Mamba).

    Shapes: [... D] -> [... D].

    Example:
        >>> import torch
        >>> from blocks import RMSNorm
        >>> RMSNorm(2, eps=1e-6)(torch.tensor([3.0, 4.0]))
        tensor([0.8485, 1.1314], grad_fn=<MulBackward0>)
    """

    quick = False  # whether the library's kernels may norm

    def __init__(
        self,
        dim: int,
        *,
        eps: float = 1e-6,
        offset: float = 0.0,
        weight: bool = True,
        cast: Literal["before", "after", "statistics"] = "before",
    ):
        super().__init__()
        check_positive("RMSNorm", dim=dim, eps=eps)
        check_number("RMSNorm", offset=offset)
        self.dim, self.eps, self.offset, self.cast = dim, eps, offset, cast
        self.weight = nn.Parameter(torch.empty(dim)) if weight else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        if self.weight is not None:
            nn.init.constant_(self.weight, 1 - self.offset)

    def forward(self, x: Tensor) -> Tensor:
        check_width(x, self.dim, "RMSNorm")
        weight = self.weight
        if weight is not None and self.cast != "statistics":
            how = (self.eps, self.offset, self.cast == "before")
            if native.learns(x, weight):
                return learnt.rms_norm(x, weight, *how)
            if self.quick and native.suits_rows(x, weight):
                return torch.ops.blocks.norm(x.reshape(-1, self.dim), weight, *how).view(x.shape)
        wide = x if x.dtype == torch.float64 else x.float()
        scale = None if weight is None else weight + self.offset
        if self.cast == "statistics":
            size = wide.pow(2).mean(-1, keepdim=True) + self.eps
            y = (x * size.rsqrt()).to(x.dtype if scale is None else scale.dtype)
            return y if scale is None else scale * y
        y = F.rms_norm(wide, (self.dim,), eps=self.eps)
        if weight is None or scale is None:
            return y.to(x.dtype)
        if self.cast == "before":
            return scale * y.to(x.dtype)
        return (y * (self.offset + weight.to(wide.dtype))).to(x.dtype)
