"""Repeated embedding: a token's row, several times side by side."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blocks.errors import SpecError
from blocks.ops.check import check_positive, check_rate

__all__ = ["RepeatedEmbedding"]


class RepeatedEmbedding(nn.Module):
    r"""x_t = [W[token_t], W[token_t], …]

    What the streams of a reversible model start from, which are equal: Kitaev et al., "Reformer",
    2020, arXiv:2001.04451.

    Args:
        vocab: rows V of the table.
        dim: width D.
        times: how often a row stands there; rows are D / times wide.
        dropout: rate at which channels of a row are dropped in training.

    Shapes: tokens [B T] int -> [B T D].

    Errors:
        SpecError: a width that is no multiple of `times`.

    Example:
        >>> import torch
        >>> from blocks import RepeatedEmbedding
        >>> left, right = RepeatedEmbedding(10, 8)(torch.tensor([[1, 2, 3]])).chunk(2, -1)
        >>> left.shape, left.equal(right)
        (torch.Size([1, 3, 4]), True)
    """

    def __init__(self, vocab: int, dim: int, *, times: int = 2, dropout: float = 0.0):
        super().__init__()
        check_positive("RepeatedEmbedding", vocab=vocab, dim=dim, times=times)
        check_rate("RepeatedEmbedding", dropout=dropout)
        if dim % times:
            reason = f"{dim} channels are not {times} rows"
            raise SpecError(reason, field="RepeatedEmbedding.times")
        self.times = times
        self.weight = nn.Parameter(torch.empty(vocab, dim // times))
        self.drop = nn.Dropout(dropout)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.normal_(self.weight, std=0.02)  # as in TokenEmbedding

    def forward(self, tokens: Tensor) -> Tensor:
        row = self.drop(F.embedding(tokens, self.weight))  # B T D/times
        return row.repeat(1, 1, self.times)  # B T D
