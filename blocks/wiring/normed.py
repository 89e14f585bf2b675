"""Normed: a block with norms around it and no skip, as a branch of a Parallel wants it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from blocks.ops.wants import call, wants
from blocks.spec import Slot
from blocks.state import content_of
from blocks.step import Step

__all__ = ["Normed"]


class Normed(nn.Module):
    r"""y = norm_out(inner(norm_in(x)))

    Two of them in a Parallel in a Residual are the parallel layer of GPT-NeoX, whose branches have
    a norm each: x + attention(norm_1 x) + mlp(norm_2 x). Black et al., 2022, arXiv:2204.06745.

    Like a Residual it has no address of its own: its norms are parts of what it wraps
    (`layers.3.attention` and `layers.3.attention.norm_in`).

    Args:
        dim: width D.
        inner: what is wrapped, any slot of size (dim).
        norm_in: norm of the input of `inner`.
        norm_out: norm of its output.

    Shapes: [B T D] -> [B T D].

    Example:
        >>> import torch
        >>> from blocks import LayerNorm, MLP, Normed, Spec
        >>> Normed(8, inner=Spec(MLP, hidden=16), norm_in=LayerNorm)(torch.randn(1, 2, 8)).shape
        torch.Size([1, 2, 8])
    """

    transparent = "inner"

    def __init__(
        self,
        dim: int,
        *,
        inner: Slot,
        norm_in: Slot | None = None,
        norm_out: Slot | None = None,
    ):
        super().__init__()
        self.norm_in = norm_in(dim) if norm_in else None
        self.inner = inner(dim)
        self.norm_out = norm_out(dim) if norm_out else None
        self._wants = wants(self.inner)

    def forward(self, x: Tensor, step: Step | None = None, state: Any = None) -> Tensor:
        y = x if self.norm_in is None else self.norm_in(x)
        y = call(self.inner, y, step, state, self._wants)  # B T D
        return y if self.norm_out is None else self.norm_out(y)

    def init_state(self, batch: int, room: int | None, dtype: torch.dtype, device: Any) -> Any:
        return content_of(self.inner, batch, room, dtype, device)
