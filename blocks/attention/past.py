"""What relative attention remembers: the inputs of the newest tokens of earlier calls."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from blocks.errors import SpecError
from blocks.state import Content
from blocks.step import Step

__all__ = ["Past"]


@dataclass
class Past(Content):
    """The newest inputs [B M D] of a layer, the last one last; no gradient passes them.

    Attributes:
        x: of all tokens seen, `size` at most; of `size` from the start where it began filled.
        size: how many it keeps; None keeps all.
        filled: it began as zeros, which count as tokens before the first.
    """

    x: Tensor
    size: int | None
    filled: bool

    @classmethod
    def empty(cls, batch: int, dim: int, size: int | None, filled: bool, **like: Any) -> Past:
        return cls(torch.zeros(batch, (size or 0) if filled else 0, dim, **like), size, filled)

    def join(self, x: Tensor, step: Step) -> tuple[Tensor, Tensor, Tensor | None, Hashable]:
        """Puts x [B T D] behind what is remembered, and remembers it.

        Gives both [B M+T D], their positions [B M+T], which are real [B M+T] or None where all
        are, and what positions and reality are, as a value.

        Errors:
            SpecError: several documents in a row, which one memory can't keep apart.
        """
        if step.segments is not None:
            reason = "one memory can't keep several packed documents apart"
            raise SpecError(reason, field="segments")
        held, clock = self.x.shape[1], step.clock
        even = clock is None or clock.even
        after = step.positions.new_zeros(1) if clock is None else clock.next[: 1 if even else None]
        older = after[:, None] - held + torch.arange(held, device=x.device)  # B M
        rows = max(len(older), len(step.positions))
        places = torch.cat([older.expand(rows, -1), step.positions.expand(rows, -1)], 1)
        real = None
        if step.real is not None or not (even or self.filled):
            known = (older >= 0) | self.filled
            new = torch.ones_like(x[..., 0], dtype=torch.bool) if step.real is None else step.real
            real = torch.cat([known.expand(len(x), -1), new], 1)
        both = torch.cat([self.x, x], 1)
        kept = both.detach()
        if real is not None:  # real ones to the right, in their order
            order = real.int().argsort(dim=1, stable=True)[..., None]
            kept = kept.masked_fill(~real[..., None], 0).gather(1, order.expand_as(kept))
        self.x = kept if self.size is None else kept[:, -self.size :]
        return both, places, real, (Past, held, self.filled)
