"""Maxout: the largest of several linear answers."""

from __future__ import annotations

from torch import Tensor, nn

from blocks.ops.check import check_positive, check_width

__all__ = ["Maxout"]


class Maxout(nn.Module):
    r"""y_f = max_p (W x + b)_{f·P + p},    p < P

    Goodfellow et al., "Maxout networks", 2013, arXiv:1302.4389; before the softmax of a
    translator: Bahdanau et al., 2014, arXiv:1409.0473, appendix A.2.2.

    Args:
        dim: width D of the input.
        hidden: width F of the output.
        pieces: answers P of which one is taken.
        bias: whether there is a bias.

    Shapes: [... D] -> [... F].

    Errors:
        SpecError: an input of another width.

    Example:
        >>> import torch
        >>> from blocks import Maxout
        >>> Maxout(8, hidden=3)(torch.randn(2, 5, 8)).shape
        torch.Size([2, 5, 3])
    """

    def __init__(self, dim: int, *, hidden: int, pieces: int = 2, bias: bool = True):
        super().__init__()
        check_positive("Maxout", dim=dim, hidden=hidden, pieces=pieces)
        self.dim, self.pieces = dim, pieces
        self.linear = nn.Linear(dim, hidden * pieces, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        check_width(x, self.dim, "Maxout")
        return self.linear(x).unflatten(-1, (-1, self.pieces)).amax(-1)  # ... F
