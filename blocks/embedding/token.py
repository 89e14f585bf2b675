"""Token embedding: a table with a row for each token."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blocks.ops.check import check_positive, check_rate

__all__ = ["TokenEmbedding"]


class TokenEmbedding(nn.Module):
    r"""x_t = W[token_t] · scale,        or P W[token_t] · scale where rows are of another width

    Narrow rows that a projection P widens: Lan et al., "ALBERT", 2019, arXiv:1909.11942.

    Args:
        vocab: rows V of the table.
        dim: width D.
        scale: what the rows are multiplied with, √D in some models.
        width: of the rows; None is D, without a projection.
        dropout: rate at which channels are dropped in training.

    Shapes: tokens [B T] int -> [B T D].

    Example:
        >>> import torch
        >>> from blocks import TokenEmbedding
        >>> TokenEmbedding(10, 4)(torch.tensor([[1, 2, 3]])).shape
        torch.Size([1, 3, 4])
    """

    def __init__(
        self,
        vocab: int,
        dim: int,
        *,
        scale: float = 1.0,
        width: int | None = None,
        dropout: float = 0.0,
    ):
        super().__init__()
        check_positive("TokenEmbedding", vocab=vocab, dim=dim, scale=scale, width=width)
        check_rate("TokenEmbedding", dropout=dropout)
        self.weight = nn.Parameter(torch.empty(vocab, width or dim))
        self.project = nn.Linear(width, dim, bias=False) if width else nn.Identity()
        self.scale = scale
        self.drop = nn.Dropout(dropout)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        # 0.02 as in GPT-2, so that a head that shares the table starts with small logits.
        nn.init.normal_(self.weight, std=0.02)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.widened(self.rows(tokens))  # B T D

    def rows(self, tokens: Tensor) -> Tensor:
        """W[token]."""
        return F.embedding(tokens, self.weight)

    def widened(self, rows: Tensor) -> Tensor:
        """What is made of the rows."""
        x = self.project(rows)  # B T D
        if self.scale != 1.0:
            # Rounded to the table's dtype first, as the models that scale were trained.
            x = x * torch.tensor(self.scale, dtype=x.dtype)
        return self.drop(x)
