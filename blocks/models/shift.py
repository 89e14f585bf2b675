"""ShiftRight: the target that is made of a source, as a value that prints, compares and saves."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from blocks.conform import check_fields
from blocks.errors import SpecError
from blocks.models.tokens import newest

__all__ = ["ShiftRight"]


@dataclass(frozen=True)
class ShiftRight:
    """target_0 = start,        target_t = source_{t-1}

    A decoder that is given this has read at each place all that comes before it. Lewis et al.,
    "BART", 2019, arXiv:1910.13461.

    Args:
        start: the token that begins every target; None is the last one of its own source (mBART's
            language).

    Shapes: tokens [B T] int, mask [B T] bool (True where real) -> [B T].

    Example:
        >>> import blocks, torch
        >>> blocks.ShiftRight(2)(torch.tensor([[5, 6, 7]]))
        tensor([[2, 5, 6]])
    """

    start: int | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        if self.start is not None and self.start < 0:
            raise SpecError(f"{self.start} is no token", field="start")

    def __call__(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        real = torch.ones_like(tokens, dtype=torch.bool) if mask is None else mask
        if self.start is None:
            first = newest(tokens[..., None], real)[..., 0]  # B 1
        else:
            first = torch.full_like(tokens[:, :1], self.start)
        index = torch.arange(tokens.shape[1], device=tokens.device)
        last = torch.where(real, index, -1).cummax(1).values  # the newest real one so far
        before = F.pad(last[:, :-1], (1, 0), value=-1)
        return torch.where(before < 0, first, tokens.gather(1, before.clamp(min=0)))
