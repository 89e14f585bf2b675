"""Language-model head: the score of every token of the vocabulary."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blocks.ops.check import check_positive

__all__ = ["LMHead"]


class LMHead(nn.Module):
    r"""logits = (W x + b) · scale

    Args:
        dim: width D.
        vocab: tokens V.
        bias: whether there is a bias.
        scale: what the logits are multiplied with.

    Shapes: [... D] -> [... V].

    Example:
        >>> import torch
        >>> from blocks import LMHead
        >>> LMHead(4, 10)(torch.randn(1, 3, 4)).shape
        torch.Size([1, 3, 10])
    """

    def __init__(self, dim: int, vocab: int, *, bias: bool = False, scale: float = 1.0):
        super().__init__()
        check_positive("LMHead", dim=dim, vocab=vocab, scale=scale)
        self.weight = nn.Parameter(torch.empty(vocab, dim))
        self.bias = nn.Parameter(torch.empty(vocab)) if bias else None
        self.scale = scale
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.normal_(self.weight, std=0.02)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        logits = F.linear(x, self.weight, self.bias)  # ... V
        return logits if self.scale == 1.0 else logits * self.scale
