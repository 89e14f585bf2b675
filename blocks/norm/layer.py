"""Layer norm: a vector with its mean taken off, divided by its spread."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blocks.ops.check import check_number, check_positive, check_width

__all__ = ["LayerNorm"]


class LayerNorm(nn.Module):
    r"""y = (x − mean(x)) / √(var(x) + eps) · (offset + w) + b

    Ba et al., 2016, arXiv:1607.06450.

    Args:
        dim: width D.
        eps: added under the root.
        offset: added to the weight: 1 where checkpoints store w − 1 (Nemotron).
        weight: whether there is a weight.
        bias: whether there is a bias.

    Shapes: [... D] -> [... D].

    Example:
        >>> import torch
        >>> from blocks import LayerNorm
        >>> LayerNorm(2, weight=False, bias=False)(torch.tensor([1.0, 3.0]))
        tensor([-1.0000,  1.0000])
    """

    def __init__(
        self,
        dim: int,
        *,
        eps: float = 1e-5,
        offset: float = 0.0,
        weight: bool = True,
        bias: bool = True,
    ):
        super().__init__()
        check_positive("LayerNorm", dim=dim, eps=eps)
        check_number("LayerNorm", offset=offset)
        self.dim, self.eps, self.offset = dim, eps, offset
        self.weight = nn.Parameter(torch.empty(dim)) if weight else None
        self.bias = nn.Parameter(torch.empty(dim)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        if self.weight is not None:
            nn.init.constant_(self.weight, 1 - self.offset)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        check_width(x, self.dim, "LayerNorm")
        if self.weight is None or not self.offset:
            return F.layer_norm(x, (self.dim,), self.weight, self.bias, self.eps)
        # Near 0 a weight has digits that 16 bits lose near the offset.
        wide = torch.promote_types(x.dtype, torch.float32)
        weight, bias = self.weight.to(wide) + self.offset, self.bias
        bias = None if bias is None else bias.to(wide)
        return F.layer_norm(x.to(wide), (self.dim,), weight, bias, self.eps).to(x.dtype)
