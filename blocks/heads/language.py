"""Language-model head: the score of every token of the vocabulary."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blocks.ops.check import check_positive, check_width
from blocks.ops.crossentropy import linear_cross_entropy

__all__ = ["LMHead"]


class LMHead(nn.Module):
    r"""logits = (W x + b) · scale,        or cap · tanh(logits / cap) where there is a cap

    The cap is that of Gemma 2: Gemma Team, 2024, arXiv:2408.00118.

    Args:
        dim: width D.
        vocab: tokens V.
        bias: whether there is a bias.
        scale: what the logits are multiplied with.
        cap: bound that no logit passes; None is none.
        width: of what W reads, to which a projection brings x; None is D, without a projection.

    Shapes: [... D] -> [... V].

    Example:
        >>> import torch
        >>> from blocks import LMHead
        >>> LMHead(4, 10)(torch.randn(1, 3, 4)).shape
        torch.Size([1, 3, 10])
    """

    def __init__(
        self,
        dim: int,
        vocab: int,
        *,
        bias: bool = False,
        scale: float = 1.0,
        cap: float | None = None,
        width: int | None = None,
    ):
        super().__init__()
        check_positive("LMHead", dim=dim, vocab=vocab, scale=scale, cap=cap, width=width)
        self.project = nn.Linear(dim, width, bias=False) if width else nn.Identity()
        self.weight = nn.Parameter(torch.empty(vocab, width or dim))
        self.bias = nn.Parameter(torch.empty(vocab)) if bias else None
        self.dim, self.scale, self.cap = dim, scale, cap
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.normal_(self.weight, std=0.02)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.finished(self.product(self.narrowed(x)))  # ... V

    def narrowed(self, x: Tensor) -> Tensor:
        """What W reads."""
        check_width(x, self.dim, "LMHead")
        return self.project(x)

    def finished(self, logits: Tensor) -> Tensor:
        """With the scale and the cap."""
        logits = logits if self.scale == 1.0 else logits * self.scale
        return logits if self.cap is None else torch.tanh(logits / self.cap) * self.cap

    def product(self, x: Tensor) -> Tensor:
        """W x + b."""
        return F.linear(x, self.weight, self.bias)

    def loss(self, x: Tensor, targets: Tensor) -> Tensor:
        """The mean cross entropy of targets [N] after x [N D], without all logits at once."""
        how = {"bias": self.bias, "scale": self.scale, "cap": self.cap}
        return linear_cross_entropy(self.narrowed(x), self.weight, targets, **how)
