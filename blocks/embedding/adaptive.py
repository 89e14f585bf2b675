"""Adaptive embedding: rare tokens have narrower rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blocks.errors import SpecError
from blocks.ops.check import check_positive, check_rate

__all__ = ["AdaptiveEmbedding"]


class AdaptiveEmbedding(nn.Module):
    r"""x_t = P_i W_i[token_t − c_i] · scale        where c_i ≤ token_t < c_i+1

    Tokens are sorted by how often they occur, and rows of cluster i are width / div^i wide. Baevski
    and Auli, 2018, arXiv:1809.10853. Where div is 1 there is one table, and a projection only
    where it is not as wide as the model.

    Args:
        vocab: tokens V.
        dim: width D.
        cutoffs: the first token of each cluster but the first, c_1 < c_2 < …
        width: of the rows of the first cluster; None is D.
        div: by how much each cluster's rows are narrower than those before.
        scale: what the rows are multiplied with.
        dropout: rate at which channels are dropped in training.

    Shapes: tokens [B T] int -> [B T D].

    Errors:
        SpecError: cutoffs that don't rise within the vocabulary, or more clusters than the width
            can be divided for.

    Example:
        >>> import torch
        >>> from blocks import AdaptiveEmbedding
        >>> embedding = AdaptiveEmbedding(100, 8, cutoffs=(10, 40), div=2)
        >>> embedding(torch.tensor([[1, 20, 99]])).shape, embedding.tables[2].shape
        (torch.Size([1, 3, 8]), torch.Size([60, 2]))
    """

    def __init__(
        self,
        vocab: int,
        dim: int,
        *,
        cutoffs: tuple[int, ...] = (),
        width: int | None = None,
        div: int = 1,
        scale: float = 1.0,
        dropout: float = 0.0,
    ):
        super().__init__()
        check_positive("AdaptiveEmbedding", dim=dim, scale=scale)
        check_rate("AdaptiveEmbedding", dropout=dropout)
        parts = clusters("AdaptiveEmbedding", vocab, cutoffs, dim if width is None else width, div)
        self.clusters = parts if div > 1 else [Cluster(0, vocab, parts[0].width)]
        self.tables = nn.ParameterList(
            [torch.empty(c.stop - c.start, c.width) for c in self.clusters]
        )
        narrow = div > 1 or parts[0].width != dim
        shapes = [(dim, c.width) for c in self.clusters if narrow]
        self.projections = nn.ParameterList([torch.empty(shape) for shape in shapes])
        self.scale, self.drop = scale, nn.Dropout(dropout)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        for weight in (*self.tables, *self.projections):
            nn.init.normal_(weight, std=0.02)

    def forward(self, tokens: Tensor) -> Tensor:
        found = []
        for i, (start, stop, _) in enumerate(self.clusters):
            rows = F.embedding((tokens - start).clamp(0, stop - start - 1), self.tables[i])
            x = F.linear(rows, self.projections[i]) if len(self.projections) else rows  # B T D
            outside = (tokens < start) | (tokens >= stop)
            found.append(x.masked_fill(outside[..., None], 0))
        return self.drop(torch.stack(found).sum(0) * self.scale)  # B T D


class Cluster(NamedTuple):
    """Tokens from `start` to before `stop`, and how wide their rows are."""

    start: int
    stop: int
    width: int


def clusters(block: str, vocab: int, cutoffs: Sequence[int], width: int, div: int) -> list[Cluster]:
    """The clusters of a vocabulary, from the most frequent tokens on."""
    check_positive(block, vocab=vocab, width=width, div=div)
    edges = [0, *cutoffs, vocab]
    if sorted(set(edges)) != edges:
        reason = f"{list(cutoffs)} don't rise between 0 and {vocab}"
        raise SpecError(reason, field=f"{block}.cutoffs")
    widths = [width // div**i for i in range(len(edges) - 1)]
    if widths[-1] < 1:
        reason = f"{width} can't be divided by {div} {len(cutoffs)} times"
        raise SpecError(reason, field=f"{block}.width")
    return [Cluster(*part) for part in zip(edges, edges[1:], widths, strict=False)]
