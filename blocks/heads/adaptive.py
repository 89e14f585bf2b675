"""Adaptive softmax: the probability of a rare token is that of its cluster times its own in it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blocks.embedding.adaptive import clusters
from blocks.ops.check import check_positive, check_width

__all__ = ["AdaptiveHead"]


class AdaptiveHead(nn.Module):
    r"""logits = log p(token),   in a cluster i > 0:  log p(cluster i) + log p(token | i)

        p(token), p(cluster i) = softmax([W_0, W_choice] P_0 x + b)
        p(token | i) = softmax(W_i P_i x + b_i)

    Grave et al., "Efficient softmax approximation for GPUs", 2016, arXiv:1609.04309, with the
    tables and projections of an `AdaptiveEmbedding`, which may be shared with it.

    Args:
        dim: width D.
        vocab: tokens V.
        cutoffs, width, div: as of an `AdaptiveEmbedding`.

    Shapes: [... D] -> [... V].

    Errors:
        SpecError: cutoffs that don't rise within the vocabulary, or more clusters than the width
            can be divided for.

    Example:
        >>> import torch
        >>> from blocks import AdaptiveHead
        >>> head = AdaptiveHead(8, 100, cutoffs=(10, 40), div=2)
        >>> logits = head(torch.randn(1, 3, 8))
        >>> torch.allclose(logits.exp().sum(-1), torch.ones(1, 3))
        True
    """

    def __init__(
        self,
        dim: int,
        vocab: int,
        *,
        cutoffs: tuple[int, ...] = (),
        width: int | None = None,
        div: int = 1,
    ):
        super().__init__()
        check_positive("AdaptiveHead", dim=dim)
        width = dim if width is None else width
        self.clusters = clusters("AdaptiveHead", vocab, cutoffs, width, div)
        tables = self.clusters if div > 1 else [(0, vocab, width)]
        shapes = [(stop - start, size) for start, stop, size in tables]
        self.tables = nn.ParameterList([torch.empty(shape) for shape in shapes])
        self.biases = nn.ParameterList([torch.empty(rows) for rows, _ in shapes])
        narrow = div > 1 or width != dim
        wide = [(dim, width if div == 1 else c.width) for c in self.clusters if narrow]
        self.projections = nn.ParameterList([torch.empty(shape) for shape in wide])
        self.choice = nn.Linear(width, len(cutoffs)) if cutoffs else None
        self.dim = dim
        self.reset_parameters()

    def reset_parameters(self) -> None:
        for weight in (*self.tables, *self.projections):
            nn.init.normal_(weight, std=0.02)
        for bias in self.biases:
            nn.init.zeros_(bias)

    def forward(self, x: Tensor) -> Tensor:
        check_width(x, self.dim, "AdaptiveHead")
        scores = [self._scores(x, i) for i in range(len(self.clusters))]
        if self.choice is not None:
            scores[0] = torch.cat([scores[0], self.choice(self._narrow(x, 0))], -1)
        first, *others = (F.log_softmax(part, -1) for part in scores)
        size = self.clusters[0].stop
        found = [first[..., :size]]
        found += [first[..., size + i, None] + own for i, own in enumerate(others)]
        return torch.cat(found, -1)  # ... V

    def _narrow(self, x: Tensor, i: int) -> Tensor:
        return x @ self.projections[i] if len(self.projections) else x

    def _scores(self, x: Tensor, i: int) -> Tensor:
        """The scores [... n] of the tokens of cluster i."""
        start, stop, _ = self.clusters[i]
        one = len(self.tables) == 1
        rows = slice(start, stop) if one else slice(None)
        table = 0 if one else i
        return F.linear(self._narrow(x, i), self.tables[table][rows], self.biases[table][rows])
