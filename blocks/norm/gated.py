"""RMS norm with a gate, of the channels of each group by themselves."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blocks.errors import SpecError
from blocks.ops.check import check_positive, check_width

__all__ = ["GatedRMSNorm"]


class GatedRMSNorm(nn.Module):
    r"""y = norm(x ⊙ silu(z)) ⊙ w,    or norm(x) ⊙ w ⊙ silu(z)

    where norm divides each group of channels by the root of their mean square. Dao and Gu,
    "Transformers are SSMs", 2024, arXiv:2405.21060, section 7.2; there are as many groups as
    devices might share a layer.

    Args:
        dim: width D.
        groups: how many groups are normed, each by itself.
        eps: added under the root.
        gate_first: whether the gate comes before the norm (Mamba-2) or after it (Gated DeltaNet).

    Shapes: x [... D], z [... D] -> [... D].

    Errors:
        SpecError: groups that don't divide the width, or another width.

    Example:
        >>> import torch
        >>> from blocks import GatedRMSNorm
        >>> x = torch.randn(1, 5, 8)
        >>> GatedRMSNorm(8, groups=2)(x, torch.ones(1, 5, 8)).shape
        torch.Size([1, 5, 8])
    """

    def __init__(self, dim: int, *, groups: int = 1, eps: float = 1e-5, gate_first: bool = True):
        super().__init__()
        check_positive("GatedRMSNorm", dim=dim, groups=groups, eps=eps)
        if dim % groups:
            raise SpecError(f"{groups} groups don't divide {dim}", field="GatedRMSNorm.groups")
        self.dim, self.groups, self.eps, self.gate_first = dim, groups, eps, gate_first
        self.weight = nn.Parameter(torch.empty(dim))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.ones_(self.weight)

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        check_width(x, self.dim, "GatedRMSNorm")
        wide = x if x.dtype == torch.float64 else x.float()
        gate = F.silu(z.to(wide.dtype))
        wide = wide * gate if self.gate_first else wide
        parts = wide.unflatten(-1, (self.groups, -1))
        y = F.rms_norm(parts, parts.shape[-1:], eps=self.eps).flatten(-2)
        y = self.weight * y.to(x.dtype)
        return y if self.gate_first else (y * gate).to(x.dtype)  # ... D
