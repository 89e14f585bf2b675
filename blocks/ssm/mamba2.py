"""Mamba-2: a state-space layer whose heads forget by one number each, and which is fast for it."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blocks.conv.causal import CausalConv
from blocks.errors import SpecError
from blocks.norm.gated import GatedRMSNorm
from blocks.ops.check import check_heads, check_input, check_positive, check_state
from blocks.ops.duality import ssd
from blocks.ops.project import project
from blocks.ops.rows import Rows
from blocks.spec import Slot
from blocks.ssm.memory import Mamba2State, start_steps
from blocks.step import Step

__all__ = ["Mamba2"]


class Mamba2(nn.Module):
    r"""z, u, δ = W x;    x', b, c = silu(conv(u));    Δ = softplus(δ + δ₀)

    h_t = exp(−Δ_t e^{A_log}) h_{t−1} + Δ_t b_t x'_tᵀ;    y = W_out norm(h_tᵀ c_t + D x'_t, z)

    Dao and Gu, "Transformers are SSMs", 2024, arXiv:2405.21060.

    Args:
        dim: width D.
        heads: H of them, each with its own A, D and δ₀.
        head_dim: width P of a head.
        state_dim: numbers N that a head keeps for each of its channels.
        groups: of heads that share b and c.
        kernel: tokens that the convolution reads.
        bias: biases on W and W_out.
        conv_bias: a bias on the convolution.
        norm: slot of size (H·P) of the gated norm, which is given z; None is the gate alone.
        limits: between which Δ stays.
        chunk: tokens of a chunk; it changes the speed, not the result.

    Shapes: [B T D] -> [B T D].

    Errors:
        SpecError: groups that don't divide the heads, limits that hold nothing, or another width.
        GenerationError: a state of another block, batch or dtype.

    Example:
        >>> import torch
        >>> from blocks import Mamba2
        >>> Mamba2(16, heads=4, head_dim=8)(torch.randn(1, 6, 16)).shape
        torch.Size([1, 6, 16])
    """

    def __init__(
        self,
        dim: int,
        *,
        heads: int,
        head_dim: int = 64,
        state_dim: int = 128,
        groups: int = 1,
        kernel: int = 4,
        bias: bool = False,
        conv_bias: bool = True,
        norm: Slot | None = GatedRMSNorm,
        limits: tuple[float, float] = (0.0, math.inf),
        chunk: int = 64,
    ):
        super().__init__()
        check_positive("Mamba2", state_dim=state_dim, kernel=kernel, chunk=chunk)
        check_heads("Mamba2", dim, heads, groups, head_dim, "groups")
        if not 0 <= limits[0] < limits[1]:
            raise SpecError(f"nothing is between {limits}", field="Mamba2.limits")
        inner, self.sums = heads * head_dim, (heads, state_dim, head_dim)
        self.dim, self.heads, self.limits, self.chunk = dim, heads, limits, chunk
        self.group, self.widths = (groups, state_dim), (inner, *[groups * state_dim] * 2)
        self.inputs = nn.Linear(dim, inner + sum(self.widths) + heads, bias=bias)
        self.conv = CausalConv(sum(self.widths), kernel=kernel, bias=conv_bias)
        self.dt_bias, self.A_log, self.D = (nn.Parameter(torch.empty(heads)) for _ in range(3))
        self.norm = norm(inner) if norm else None
        self.out = nn.Linear(inner, dim, bias=bias)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        with torch.no_grad():
            start_steps(self.dt_bias)
            self.A_log.uniform_(1, 16).log_()
            self.D.fill_(1)

    def forward(self, x: Tensor, step: Step | None = None, state: Any = None) -> Tensor:
        check_input(x, self.dim, "Mamba2")
        rows, sums, tail = Rows() if step is None else Rows.of(step), None, None
        if state is not None:
            check_state("Mamba2", state, Mamba2State, x, sums=self.sums, tail=self.conv.tail)
            sums, tail = state.sums, state.tail
        sizes = [self.widths[0], sum(self.widths), self.heads]
        z, u, dt = project(self.inputs, rows.take(x)).split(sizes, 2)
        u, tail = self.conv.over(u, rows, tail)  # B T C
        wide = torch.promote_types(x.dtype, torch.float32)
        u, b, c = F.silu(u).to(wide).split(self.widths, 2)
        b, c = b.unflatten(2, self.group), c.unflatten(2, self.group)  # B T G N
        dt = F.softplus(dt.to(wide) + self.dt_bias.to(wide)).clamp(*self.limits)  # B T H
        u, dt, b, c = rows.noted(u=u.unflatten(2, (self.heads, -1)), dt=dt, b=b, c=c)  # B T H P
        real = rows.real(u.shape[1])
        dt = dt if real is None else dt * real[..., None]  # what doesn't count changes no sum
        decay = -dt * self.A_log.to(wide).exp()
        y, sums = ssd(u * dt[..., None], decay, b, c, sums, chunk=self.chunk)  # B T H P
        y = torch.addcmul(y, u, self.D.to(wide)[:, None]).flatten(2)
        if state is not None:
            state.sums, state.tail = sums, tail
        y = y * F.silu(z.to(wide)) if self.norm is None else self.norm(y, z)
        return rows.put(project(self.out, y.to(x.dtype)))  # B T D

    def init_state(self, batch: int, room: int | None, dtype: torch.dtype, device: Any) -> Any:
        return Mamba2State.empty(batch, self.sums, self.conv.tail, dtype, device)
