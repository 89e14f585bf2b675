"""Span head: where in a text the answer to a question begins and ends."""

from __future__ import annotations

from torch import Tensor, nn

from blocks.ops.check import check_positive, check_width

__all__ = ["SpanHead"]


class SpanHead(nn.Module):
    r"""(begin_t, end_t) = W x_t + b

    The scores of each token as the first and as the last of the answer. Devlin et al., "BERT",
    2018, arXiv:1810.04805, section 4.2.

    Args:
        dim: width D.

    Shapes: [B T D] -> [B T 2].

    Example:
        >>> import torch
        >>> from blocks import SpanHead
        >>> SpanHead(4)(torch.randn(1, 5, 4)).shape
        torch.Size([1, 5, 2])
    """

    def __init__(self, dim: int):
        super().__init__()
        check_positive("SpanHead", dim=dim)
        self.out = nn.Linear(dim, 2)
        self.dim = dim

    def forward(self, x: Tensor) -> Tensor:
        check_width(x, self.dim, "SpanHead")
        return self.out(x)  # B T 2
