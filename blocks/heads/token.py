"""Token head: which class each token belongs to, or where an answer begins and ends."""

from __future__ import annotations

from torch import Tensor, nn

from blocks.ops.check import check_positive, check_rate, check_width

__all__ = ["TokenHead"]


class TokenHead(nn.Module):
    r"""logits_t = W x_t + b

    With two labels it finds the answer to a question: the score of each token as its begin and as
    its end. Devlin et al., "BERT", 2018, arXiv:1810.04805, sections 4.2 and 5.3.

    Args:
        dim: width D.
        labels: classes.
        dropout: rate at which channels are dropped in training.

    Shapes: [B T D] -> [B T labels].

    Example:
        >>> import torch
        >>> from blocks import TokenHead
        >>> TokenHead(4, labels=2)(torch.randn(1, 5, 4)).shape
        torch.Size([1, 5, 2])
    """

    def __init__(self, dim: int, *, labels: int, dropout: float = 0.0):
        super().__init__()
        check_positive("TokenHead", dim=dim, labels=labels)
        check_rate("TokenHead", dropout=dropout)
        self.out = nn.Linear(dim, labels)
        self.drop = nn.Dropout(dropout)
        self.dim = dim

    def forward(self, x: Tensor) -> Tensor:
        check_width(x, self.dim, "TokenHead")
        return self.out(self.drop(x))  # B T labels
