"""The short convolution before a recurrence: each channel mixes its last few tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blocks.ops.check import check_input, check_positive, check_state
from blocks.ops.rows import Rows
from blocks.state import Content
from blocks.step import Step

__all__ = ["CausalConv", "TailState"]

# What a processor convolves as quickly as it reads it, where tokens are more than a few.
_FEW, _QUICK = 8, [torch.float32] if torch.backends.mkldnn.is_available() else []
if torch.backends.cpu.get_cpu_capability() == "AVX512":
    _QUICK += [torch.bfloat16] if _QUICK else []


@dataclass
class TailState(Content):
    """The last tokens [B kernel−1 C], with which the next ones are read; `of` names the block."""

    timeless = True
    tail: Tensor
    of: str


class CausalConv(nn.Module):
    r"""y_t = b + Σ_{j<k} w_j ⊙ x_{t−k+1+j}

    Each channel for itself, no token sees a later one; tokens before the first count as zeros.
    Before state-space layers: Dao et al., "Hungry hungry hippos", 2022, arXiv:2212.14052 (there
    the shift layer); Gu and Dao, "Mamba", 2023, arXiv:2312.00752, figure 3.

    Args:
        dim: channels C.
        kernel: tokens k that y_t reads.
        bias: whether b is added.

    Shapes: x [B T C] -> [B T C].

    Errors:
        SpecError: an input of another width.

    Example:
        >>> import torch
        >>> from blocks import CausalConv, State
        >>> conv, x = CausalConv(8, kernel=4), torch.randn(1, 6, 8)
        >>> state = State.of(conv, 1)
        >>> parts = [state.run(conv, part) for part in x.split(2, 1)]
        >>> torch.allclose(torch.cat(parts, 1), conv(x), atol=1e-6)
        True
    """

    def __init__(self, dim: int, *, kernel: int = 4, bias: bool = True):
        super().__init__()
        check_positive("CausalConv", dim=dim, kernel=kernel)
        self.dim, self.kernel, self.tail = dim, kernel, (kernel - 1, dim)
        self.weight = nn.Parameter(torch.empty(dim, 1, kernel))
        self.bias = nn.Parameter(torch.empty(dim)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        bound = self.kernel**-0.5
        nn.init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            nn.init.uniform_(self.bias, -bound, bound)

    def forward(
        self, x: Tensor, step: Step | None = None, state: TailState | None = None
    ) -> Tensor:
        check_input(x, self.dim, "CausalConv")
        rows = Rows() if step is None else Rows.of(step)
        if state is not None:
            check_state("CausalConv", state, TailState, x, tail=self.tail)
        y, tail = self.over(rows.take(x), rows, None if state is None else state.tail)
        if state is not None:
            state.tail = tail
        return rows.put(y)  # B T C

    def over(self, x: Tensor, rows: Rows, tail: Tensor | None) -> tuple[Tensor, Tensor]:
        """Rows [R L C] after their tail -> what comes of them, and the next tail [R k−1 C]."""
        length = x.shape[1]
        if tail is None:
            tail = x.new_zeros(len(x), *self.tail)
        whole, tail = torch.cat([tail, x], 1), rows.newest(tail, x)  # R k−1+L C
        if length > _FEW and (x.is_cuda or x.dtype in _QUICK):
            # As images of one line: a convolution of texts would move their channels to and fro.
            y = F.conv2d(whole.mT[:, :, None], self.weight[:, :, None], self.bias, groups=self.dim)
            return y[:, :, 0].mT, tail
        wide = torch.promote_types(x.dtype, torch.float32)  # rounded once, as one convolution is
        whole, taps = whole.to(wide), self.weight[:, 0].t().to(wide)  # k C
        y = whole[:, :length] * taps[0]
        y = y if self.bias is None else y + self.bias
        for j in range(1, self.kernel):
            y = torch.addcmul(y, whole[:, j : j + length], taps[j])
        return y.to(x.dtype), tail

    def init_state(
        self, batch: int, room: int | None, dtype: torch.dtype, device: Any
    ) -> TailState:
        return TailState(torch.zeros(batch, *self.tail, dtype=dtype, device=device), "CausalConv")
