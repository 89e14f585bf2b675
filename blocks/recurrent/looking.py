"""Recurrent layers whose next step reads what the last one made them look at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from blocks.attention.crossmemory import CrossState
from blocks.recurrent.stacked import Carry, Recurrent

__all__ = ["LookingState"]


@dataclass
class LookingState(CrossState):
    """What was read of the memory, the carry [B H], and what the layer looks at; None at first.

    Attributes:
        found: [B R], what it found in the memory.
        pattern: [B M], how much it took of each place.
        place: [B N], where the windows of a `GaussianWindow` stand.
    """

    hidden: Tensor | None = None
    cell: Tensor | None = None
    found: Tensor | None = None
    pattern: Tensor | None = None
    place: Tensor | None = None
    trims = False

    @property
    def carry(self) -> Carry:
        return tuple(part for part in (self.hidden, self.cell) if part is not None)

    @property
    def seen(self) -> Carry:
        parts = (self.found, self.pattern, self.place)
        return tuple(part for part in parts if part is not None)

    def keep(self, carry: Carry, seen: Carry) -> None:
        self.hidden, self.cell = (*carry, None)[:2]
        self.found, self.pattern, self.place = (*seen, None)[:3]


def unroll(
    inner: Recurrent,
    x: Tensor,
    real: Tensor | None,
    state: LookingState,
    look: Callable[[Tensor, Carry], Carry],
) -> tuple[Tensor, Tensor, Tensor]:
    """s_t = inner([x_t, c_{t−1}], s_{t−1}),    c_t = look(s_t, c_{t−1}), from x [B T D] on.

    Gives s [B T+1 H], c [B T+1 R] and the patterns [B T+1 M], those before the first token first.
    """
    weight = getattr(inner, "weight_ih_l0")  # noqa: B009  # registered by that name
    own, other = weight.split((x.shape[-1], weight.shape[1] - x.shape[-1]), 1)
    begun = F.linear(x, own, inner.part("bias_ih", "l0"))  # B T G·H
    carry, seen = state.carry, state.seen
    found = [(carry[0], *seen[:2])]
    for t in range(x.shape[1]):
        now = None if real is None else real[:, t, None]
        carry = _kept(now, inner.cell(begun[:, t] + F.linear(seen[0], other), carry, "l0"), carry)
        seen = _kept(now, look(carry[0], seen), seen)
        found.append((carry[0], *seen[:2]))
    state.keep(carry, seen)
    s, c, pattern = (torch.stack(each, 1) for each in zip(*found, strict=True))
    return s, c, pattern


def _kept(now: Tensor | None, after: Carry, before: Carry) -> Carry:
    """Where a token isn't real, all stays as it was."""
    if now is None:
        return after
    pairs = zip(after, before, strict=True)
    return tuple(torch.where(now, new, old) for new, old in pairs)
