"""Linear: one matrix, as a step of its own."""

from __future__ import annotations

from torch import nn

from blocks.ops.check import check_positive

__all__ = ["Linear"]


class Linear(nn.Linear):
    r"""y = W x + b

    What other blocks do with a matrix inside them, where a model wants it between two blocks.

    Args:
        dim: width D.
        out_dim: width of the output; D by default.
        bias: whether there is a b.

    Shapes: [... D] -> [... out_dim].

    Example:
        >>> import torch
        >>> from blocks import Linear
        >>> Linear(8, out_dim=3)(torch.randn(1, 2, 8)).shape
        torch.Size([1, 2, 3])
    """

    def __init__(self, dim: int, *, out_dim: int | None = None, bias: bool = False):
        check_positive("Linear", dim=dim, out_dim=out_dim)
        super().__init__(dim, out_dim or dim, bias=bias)
