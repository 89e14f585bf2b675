"""Soft cap: scores squeezed smoothly into a bounded range."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from blocks.ops.check import check_positive

__all__ = ["SoftCap"]


class SoftCap(nn.Module):
    r"""y = cap · tanh(x / cap)        Gemma Team, "Gemma 2", 2024, arXiv:2408.00118, section 2

    Args:
        heads: query heads (not used: every head is capped alike).
        cap: no score leaves −cap … cap.

    Shapes: scores [B H T S] -> the same.

    Errors:
        SpecError: a cap that is not above zero.

    Example:
        >>> import torch
        >>> from blocks import SoftCap
        >>> SoftCap(8, cap=50.0)(torch.tensor([1.0, 1000.0]))
        tensor([ 0.9999, 50.0000])
    """

    pointwise = True  # each score by itself

    def __init__(self, heads: int, *, cap: float):
        super().__init__()
        check_positive("SoftCap", cap=cap)
        self.cap = cap

    def forward(self, scores: Tensor) -> Tensor:
        return torch.tanh(scores / self.cap) * self.cap  # B H T S
