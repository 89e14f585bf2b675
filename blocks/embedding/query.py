"""Query embedding: a table of tokens, and one row for a place whose token is asked for."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blocks.ops.check import check_positive, check_rate

__all__ = ["QueryEmbedding"]


class QueryEmbedding(nn.Module):
    r"""x_t = W[token_t],   or the learnt row w where token_t is −1

    What starts at w knows its place and nothing of the token there. Yang et al., "XLNet", 2019,
    arXiv:1906.08237, section 2.3.

    Args:
        vocab: rows V of the table.
        dim: width D.
        dropout: rate at which channels are dropped in training.

    Shapes: tokens [B T] int -> [B T D].

    Example:
        >>> import torch
        >>> from blocks import QueryEmbedding
        >>> QueryEmbedding(10, 4)(torch.tensor([[1, 2, -1]])).shape
        torch.Size([1, 3, 4])
    """

    def __init__(self, vocab: int, dim: int, *, dropout: float = 0.0):
        super().__init__()
        check_positive("QueryEmbedding", vocab=vocab, dim=dim)
        check_rate("QueryEmbedding", dropout=dropout)
        self.weight = nn.Parameter(torch.empty(vocab, dim))
        self.query = nn.Parameter(torch.empty(1, 1, dim))
        self.drop = nn.Dropout(dropout)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.normal_(self.weight, std=0.02)
        nn.init.normal_(self.query, std=0.02)

    def forward(self, tokens: Tensor) -> Tensor:
        rows = F.embedding(tokens.clamp(min=0), self.weight)  # B T D
        return self.drop(torch.where(tokens[..., None] < 0, self.query, rows))  # B T D
