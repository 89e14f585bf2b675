"""Reversible: two streams, each of which is added to by what a block makes of the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from blocks.errors import SpecError
from blocks.ops.check import check_rate
from blocks.ops.wants import call
from blocks.spec import Slot
from blocks.state import content_of, part_of
from blocks.step import Step
from blocks.wiring.named import build_named

__all__ = ["Reversible"]


class Reversible(nn.Module):
    r"""y1 = x1 + F(x2),    y2 = x2 + G(y1),    where x = [x1, x2] and y = [y1, y2]

    Its inputs can be had back from its outputs, x2 = y2 − G(y1) and x1 = y1 − F(x2). Gomez et al.,
    2017, arXiv:1707.04585; layers of attention and MLP: Kitaev et al., 2020, arXiv:2001.04451.
    Gradients are the ordinary ones, which keep what every layer computed.

    Args:
        dim: width D of both streams together, even.
        steps: two names -> slots of size (D / 2): F and G, which bring their norms along.
        dropout: rate at which channels of F and G are dropped in training.

    Shapes: [B T D] -> [B T D].

    Errors:
        SpecError: an odd width, not two steps, or a name that a module can't have.

    Example:
        >>> import torch
        >>> from blocks import GQAttention, MLP, Reversible, Spec
        >>> steps = {"attention": Spec(GQAttention, heads=2), "mlp": Spec(MLP, hidden=8)}
        >>> Reversible(16, steps=steps)(torch.randn(1, 3, 16)).shape
        torch.Size([1, 3, 16])
    """

    def __init__(self, dim: int, *, steps: Mapping[str, Slot], dropout: float = 0.0):
        super().__init__()
        check_rate("Reversible", dropout=dropout)
        if dim < 2 or dim % 2:
            reason = f"{dim} channels are not two streams of one width"
            raise SpecError(reason, field="Reversible.dim", hint="give an even width")
        if len(steps) != 2:
            raise SpecError(f"takes two steps, not {len(steps)}", field="Reversible.steps")
        self.dim, self.dropout = dim, dropout
        self._wants = build_named(self, dim // 2, steps)

    def forward(self, x: Tensor, step: Step | None = None, state: Any = None) -> Tensor:
        kept, read = x.chunk(2, -1)  # B T D/2 each
        for name, part in self.named_children():
            y = call(part, read, step, part_of(state, name, len(self._wants)), self._wants[name])
            kept, read = read, kept + torch.dropout(y, self.dropout, self.training)
        return torch.cat([kept, read], -1)  # B T D

    def init_state(self, batch: int, room: int | None, dtype: torch.dtype, device: Any) -> Any:
        parts = self.named_children()
        return {name: content_of(part, batch, room, dtype, device) for name, part in parts}
