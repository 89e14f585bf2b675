"""Query scale: queries far into a text are scaled up, so that attention stays as sharp."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from blocks.ops.check import check_positive, check_width
from blocks.step import Step

__all__ = ["QueryScale"]


class QueryScale(nn.Module):
    r"""q_m ↦ q_m · (1 + growth · ln(1 + ⌊m / trained⌋)) at position m;   k ↦ k
    or, by a power,  q_m · (1 + (m + 1) / trained)^growth

    A softmax over more keys is flatter unless its scores grow with their number's logarithm:
    Nakanishi, "Scalable-softmax", 2025, arXiv:2501.19399; in this form Meta, "Llama 4", 2025.

    Args:
        head_dim: width E of a head.
        heads: query heads (not used: every head alike).
        kv_heads: key heads (likewise).
        growth: how fast the scale grows.
        trained: how many tokens long training was: those before are hardly scaled, or not at all.
        by: whether queries grow by a `log` or by a `power` of how far they are.

    Shapes: q [B H T E], k [B K T E] -> the same.

    Errors:
        SpecError: a number that is not above zero, or queries of another width.

    Example:
        >>> import torch
        >>> from blocks import QueryScale, Step
        >>> q = k = torch.ones(1, 2, 5, 4)
        >>> step = Step.plain(torch.zeros(1, 5, 8))
        >>> QueryScale(4, 2, 2, growth=1.0, trained=4)(q, k, step)[0][0, 0, :, 0]
        tensor([1.0000, 1.0000, 1.0000, 1.0000, 1.6931])
    """

    def __init__(
        self,
        head_dim: int,
        heads: int,
        kv_heads: int,
        *,
        growth: float = 0.1,
        trained: int = 8192,
        by: Literal["log", "power"] = "log",
    ):
        super().__init__()
        check_positive("QueryScale", head_dim=head_dim, growth=growth, trained=trained)
        self.head_dim, self.growth, self.trained, self.by = head_dim, growth, trained, by

    def forward(self, q: Tensor, k: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        check_width(q, self.head_dim, "QueryScale")
        wide = torch.promote_types(q.dtype, torch.float32)
        if self.by == "power":
            far = ((step.positions + 1).to(wide) / self.trained).log1p()  # B T
            scale = (self.growth * far).exp()
        else:
            times = step.positions // self.trained  # B T
            scale = 1 + self.growth * times.to(wide).log1p()
        return q * scale[:, None, :, None].to(q.dtype), k  # B H T E
