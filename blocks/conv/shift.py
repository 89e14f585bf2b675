"""Token shift: half of what a token says is what the one before it said."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from blocks.conv.causal import TailState
from blocks.ops.check import check_input, check_positive, check_state
from blocks.ops.rows import Rows
from blocks.step import Step

__all__ = ["TokenShift"]


class TokenShift(nn.Module):
    r"""y_t = [a_t, b_{t−1}]        where x_t = [a_t, b_t] are the two halves of its channels

    Before the first token there are zeros. Peng et al., "RWKV", 2023, arXiv:2305.13048, where the
    shares are learnt; halves are those of MEGABYTE-pytorch.

    Args:
        dim: width D; of an odd one, a has the channel more.

    Shapes: x [B T D] -> [B T D].

    Errors:
        SpecError: an input of another width.
        GenerationError: a state of another block, batch or dtype.

    Example:
        >>> import torch
        >>> from blocks import TokenShift
        >>> TokenShift(2)(torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]))
        tensor([[[1., 0.],
                 [3., 2.]]])
    """

    def __init__(self, dim: int):
        super().__init__()
        check_positive("TokenShift", dim=dim)
        self.dim, self.kept = dim, dim - dim // 2

    def forward(
        self, x: Tensor, step: Step | None = None, state: TailState | None = None
    ) -> Tensor:
        check_input(x, self.dim, "TokenShift")
        rows = Rows() if step is None else Rows.of(step)
        own, passed = rows.take(x).split([self.kept, self.dim - self.kept], -1)  # R L D/2 each
        before = torch.zeros_like(passed[:, :1])
        if state is not None:
            check_state("TokenShift", state, TailState, x, tail=(1, self.dim - self.kept))
            before = state.tail
            state.tail = rows.newest(before, passed)
        shifted = torch.cat([before, passed[:, :-1]], 1)
        return rows.put(torch.cat([own, shifted], -1))  # B T D

    def init_state(
        self, batch: int, room: int | None, dtype: torch.dtype, device: Any
    ) -> TailState:
        size = (batch, 1, self.dim - self.kept)
        return TailState(torch.zeros(size, dtype=dtype, device=device), "TokenShift")
