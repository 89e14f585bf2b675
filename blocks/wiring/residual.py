"""Residual: what a block finds is added to what came in, with norms where a model wants them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from blocks.ops.check import check_number, check_rate
from blocks.ops.wants import call, wants
from blocks.spec import Slot
from blocks.state import content_of
from blocks.step import Step

__all__ = ["Residual"]


class Residual(nn.Module):
    r"""y = norm_after(carry · x + scale · drop(norm_out(inner(norm_in(x)))))

    norm_in alone is the pre-norm layer (Xiong et al., 2020, arXiv:2002.04745), norm_after alone the
    post-norm layer of Vaswani et al., 2017, arXiv:1706.03762, norm_in with norm_out the sandwich
    of Gemma 2, norm_out alone the wiring of OLMo 2. He et al., 2015, arXiv:1512.03385.

    A Residual has no address of its own: the address is that of what it wraps, and its norms are
    parts of it (`layers.3.attention` and `layers.3.attention.norm_in`).

    Args:
        dim: width D.
        inner: what is wrapped, any slot of size (dim).
        norm_in: norm of the input of `inner`.
        norm_out: norm of its output.
        norm_after: norm of the sum.
        scale: what the branch is multiplied with.
        carry: what x is multiplied with.
        dropout: rate at which the branch's channels are dropped in training.

    Shapes: [B T D] -> [B T D].

    Example:
        >>> import torch
        >>> from blocks import MLP, Residual, RMSNorm, Spec
        >>> Residual(8, inner=Spec(MLP, hidden=16), norm_in=RMSNorm)(torch.randn(1, 2, 8)).shape
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
        norm_after: Slot | None = None,
        scale: float = 1.0,
        carry: float = 1.0,
        dropout: float = 0.0,
    ):
        super().__init__()
        check_rate("Residual", dropout=dropout)
        check_number("Residual", scale=scale, carry=carry)
        self.norm_in = norm_in(dim) if norm_in else None
        self.inner = inner(dim)
        self.norm_out = norm_out(dim) if norm_out else None
        self.norm_after = norm_after(dim) if norm_after else None
        self.scale, self.carry, self.dropout = scale, carry, dropout
        self._wants = wants(self.inner)

    def forward(self, x: Tensor, step: Step | None = None, state: Any = None) -> Tensor:
        y = x if self.norm_in is None else self.norm_in(x)
        y = call(self.inner, y, step, state, self._wants)  # B T D
        y = y if self.norm_out is None else self.norm_out(y)
        y = torch.dropout(y, self.dropout, self.training)
        x = x if self.carry == 1.0 else x * self.carry
        y = x + (y if self.scale == 1.0 else y * self.scale)
        return y if self.norm_after is None else self.norm_after(y)

    def init_state(self, batch: int, room: int | None, dtype: torch.dtype, device: Any) -> Any:
        return content_of(self.inner, batch, room, dtype, device)
