"""OneHot: a token as a vector with a one at its own channel."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blocks.errors import SpecError
from blocks.ops.check import check_positive

__all__ = ["OneHot"]


class OneHot(nn.Module):
    r"""y_v = 1 where v is the token, 0 elsewhere

    Args:
        vocab: tokens V.
        dim: width D; the channels from V on are 0.

    Shapes: tokens [B T] int -> [B T D].

    Errors:
        SpecError: fewer channels than tokens.

    Example:
        >>> import torch
        >>> from blocks import OneHot
        >>> OneHot(3, 3)(torch.tensor([[2, 0]]))
        tensor([[[0., 0., 1.],
                 [1., 0., 0.]]])
    """

    def __init__(self, vocab: int, dim: int):
        super().__init__()
        check_positive("OneHot", vocab=vocab, dim=dim)
        if dim < vocab:
            raise SpecError(f"{dim} channels are too few for {vocab} tokens", field="OneHot.dim")
        self.dim = dim
        # It holds no number, and goes along to whatever dtype and device the model is brought to.
        self.like = nn.Parameter(torch.empty(0), requires_grad=False)

    def forward(self, tokens: Tensor) -> Tensor:
        return F.one_hot(tokens.long(), self.dim).to(self.like.dtype)  # B T D
