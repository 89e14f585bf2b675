"""Hashed embedding: a vector for every code point, of a few small tables."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blocks.errors import SpecError
from blocks.ops.check import check_positive, check_rate

__all__ = ["HashedEmbedding"]

_PRIMES = (31, 43, 59, 61, 73, 97, 103, 113, 137, 149, 157, 173, 181, 193, 211, 223)


class HashedEmbedding(nn.Module):
    r"""x_t = [W_1[h_1(t)] … W_n[h_n(t)]],        h_i(t) = (token_t + 1) · prime_i mod buckets

    Two tokens that share a row of one table hardly share those of the others. Clark et al.,
    "CANINE", 2021, arXiv:2103.06874, section 3.2.

    Args:
        vocab: tokens V; the tables are as large for any number of them.
        dim: width D, of which each table gives an equal part.
        hashes: tables n.
        buckets: rows of each.
        dropout: rate at which channels are dropped in training.

    Shapes: tokens [B T] int -> [B T D].

    Errors:
        SpecError: a width that the tables can't share, or more tables than there are primes.

    Example:
        >>> import torch
        >>> from blocks import HashedEmbedding
        >>> HashedEmbedding(0x110000, 8, hashes=4, buckets=10)(torch.tensor([[0x1F600]])).shape
        torch.Size([1, 1, 8])
    """

    def __init__(
        self,
        vocab: int,
        dim: int,
        *,
        hashes: int = 8,
        buckets: int = 16_384,
        dropout: float = 0.0,
    ):
        super().__init__()
        check_positive("HashedEmbedding", vocab=vocab, dim=dim, hashes=hashes, buckets=buckets)
        check_rate("HashedEmbedding", dropout=dropout)
        if hashes > len(_PRIMES) or dim % hashes:
            some = f"at most {len(_PRIMES)} tables" if dim % hashes == 0 else f"a divisor of {dim}"
            raise SpecError(f"{hashes}, not {some}", field="HashedEmbedding.hashes")
        self.buckets, self.drop = buckets, nn.Dropout(dropout)
        shape = (buckets, dim // hashes)
        self.tables = nn.ParameterList([torch.empty(shape) for _ in range(hashes)])
        self.reset_parameters()

    def reset_parameters(self) -> None:
        for table in self.tables:
            nn.init.normal_(table, std=0.02)

    def forward(self, tokens: Tensor) -> Tensor:
        parts = [
            F.embedding((tokens + 1) * prime % self.buckets, table)
            for prime, table in zip(_PRIMES, self.tables, strict=False)
        ]
        return self.drop(torch.cat(parts, -1))  # B T D
