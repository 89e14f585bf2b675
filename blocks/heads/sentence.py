"""Sentence head: one vector for a text, so that texts can be compared."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from blocks.heads.pooler import pooled
from blocks.ops.check import check_input, check_positive
from blocks.step import Step

__all__ = ["SentenceHead"]


class SentenceHead(nn.Module):
    r"""y = pool(x),        or pool(x) / ‖pool(x)‖₂

    Reimers & Gurevych, "Sentence-BERT", 2019, arXiv:1908.10084.

    Args:
        dim: width D.
        pool: the `first` or `last` real token, the `mean` of all or their `max`.
        unit: whether vectors have length 1, so that their product is the cosine.

    Shapes: [B T D] -> [B D].

    Errors:
        SpecError: an input of another width, or texts packed into one row.

    Example:
        >>> import torch
        >>> from blocks import SentenceHead
        >>> SentenceHead(2)(torch.tensor([[[3.0, 0.0], [3.0, 8.0]]]))
        tensor([[0.6000, 0.8000]])
    """

    def __init__(
        self,
        dim: int,
        *,
        pool: Literal["first", "last", "mean", "max"] = "mean",
        unit: bool = True,
    ):
        super().__init__()
        check_positive("SentenceHead", dim=dim)
        self.dim, self.pool, self.unit = dim, pool, unit

    def forward(self, x: Tensor, step: Step | None = None) -> Tensor:
        check_input(x, self.dim, "SentenceHead")
        y = pooled(x, self.pool, step)  # B D
        return F.normalize(y, dim=-1) if self.unit else y
