"""Mamba: a state-space layer that chooses, token by token, what it keeps."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blocks.conv.causal import CausalConv
from blocks.mlp.activations import Activation, activation
from blocks.ops.check import check_input, check_positive, check_state
from blocks.ops.project import project
from blocks.ops.rows import Rows
from blocks.ops.selective import selective_scan
from blocks.spec import Slot
from blocks.ssm.memory import MambaState, start_steps
from blocks.step import Step

__all__ = ["Mamba"]


class Mamba(nn.Module):
    r"""u, z = W x;    u' = act(conv(u));    δ, b, c = W_select u';    Δ = softplus(W_dt δ + δ₀)

    h_t = exp(−Δ_t e^{A_log}) ⊙ h_{t−1} + b_t ⊗ (Δ_t u'_t)
    y_t = W_out ((c_t h_t + D ⊙ u'_t) ⊙ silu(z_t))

    Gu and Dao, "Mamba", 2023, arXiv:2312.00752. The recurrence runs in at least float32.

    Args:
        dim: width D of the input and output.
        inner: channels C of the recurrence; 2 · dim by default.
        state_dim: numbers N that each channel remembers.
        kernel: tokens that the convolution reads.
        rank: width of δ; dim / 16 by default, rounded up.
        act: the activation after the convolution.
        bias: biases on W and W_out.
        conv_bias: a bias on the convolution.
        norm: slot of sizes (rank) and twice (state_dim) for norms of δ, b and c.

    Shapes: [B T D] -> [B T D].

    Errors:
        SpecError: a size below one, or an input of another width.
        GenerationError: a state of another block, batch or dtype.

    Example:
        >>> import torch
        >>> from blocks import Mamba
        >>> Mamba(16, state_dim=4)(torch.randn(1, 6, 16)).shape
        torch.Size([1, 6, 16])
    """

    by_hand = ("dt",)  # whose bias is added in float32

    def __init__(
        self,
        dim: int,
        *,
        inner: int | None = None,
        state_dim: int = 16,
        kernel: int = 4,
        rank: int | None = None,
        act: Activation = "silu",
        bias: bool = False,
        conv_bias: bool = True,
        norm: Slot | None = None,
    ):
        super().__init__()
        check_positive("Mamba", dim=dim, inner=inner, state_dim=state_dim, rank=rank, kernel=kernel)
        self.dim, self.inner, self.act = dim, inner or 2 * dim, activation(act)
        self.widths = (rank or math.ceil(dim / 16), state_dim, state_dim)
        self.inputs = nn.Linear(dim, 2 * self.inner, bias=bias)
        self.conv = CausalConv(self.inner, kernel=kernel, bias=conv_bias)
        self.select = nn.Linear(self.inner, sum(self.widths), bias=False)
        self.norms = nn.ModuleList([norm(n) for n in self.widths]) if norm else None
        self.dt = nn.Linear(self.widths[0], self.inner)
        self.sums = (state_dim, self.inner)
        self.A_log, self.D = (nn.Parameter(torch.empty(n)) for n in (self.sums[::-1], self.inner))
        self.out = nn.Linear(self.inner, dim, bias=bias)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        bound = self.widths[0] ** -0.5
        with torch.no_grad():
            self.dt.weight.uniform_(-bound, bound)
            start_steps(self.dt.bias)
            self.A_log.copy_(torch.arange(1, self.widths[1] + 1).log())
            self.D.fill_(1)

    def forward(self, x: Tensor, step: Step | None = None, state: Any = None) -> Tensor:
        check_input(x, self.dim, "Mamba")
        rows, sums, tail = Rows() if step is None else Rows.of(step), None, None
        if state is not None:
            check_state("Mamba", state, MambaState, x, sums=self.sums, tail=self.conv.tail)
            sums, tail = state.sums, state.tail
        u, z = project(self.inputs, rows.take(x)).chunk(2, -1)  # R L C
        u, tail = self.conv.over(u, rows, tail)
        y, sums = self._scan(self.act(u), rows, sums)
        if state is not None:
            state.sums, state.tail = sums, tail
        return rows.put(project(self.out, (y * F.silu(z)).to(x.dtype)))  # B T D

    def _scan(self, u: Tensor, rows: Rows, sums: Tensor | None) -> tuple[Tensor, Tensor]:
        wide = torch.promote_types(u.dtype, torch.float32)
        parts = self.select(u).split(self.widths, -1)
        if self.norms is not None:
            parts = [norm(part) for norm, part in zip(self.norms, parts, strict=True)]
        dt = F.softplus(F.linear(parts[0], self.dt.weight).to(wide) + self.dt.bias.to(wide))
        u, dt, b, c = rows.noted(u=u.to(wide), dt=dt, b=parts[1].to(wide), c=parts[2].to(wide))
        real, a = rows.real(u.shape[1]), -self.A_log.to(wide).exp().t().contiguous()
        dt = dt if real is None else dt * real[..., None]  # what doesn't count lasts no time
        y, sums = selective_scan(u, dt, a, b, c, sums)
        return torch.addcmul(y, u, self.D.to(wide)), sums

    def init_state(self, batch: int, room: int | None, dtype: torch.dtype, device: Any) -> Any:
        return MambaState.empty(batch, self.sums, self.conv.tail, dtype, device)
