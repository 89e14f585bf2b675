"""What S4 and S4D share: a recurrence a channel, the same for all tokens, and what follows it."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blocks.errors import SpecError
from blocks.mlp.activations import Activation, activation
from blocks.ops.check import check_input, check_positive, check_state
from blocks.ops.invariant import Response, after, convolved
from blocks.ops.rows import Rows
from blocks.ssm.memory import S4State
from blocks.step import Step

__all__: list[str] = []

Out = Literal["glu", "linear"]


class TimeInvariant(nn.Module):
    """h_t = A h_{t−1} + B u_t,  y_t = Re(C h_t) + D u_t,  output = W_out act(y_t)

    Many tokens are one convolution with C A^t B; one is a step. A subclass says what A, B and C
    are. Of conjugate pairs one is computed with; states are kept as real and imaginary parts.
    """

    paired, recurrence = True, ""  # a subclass says what its states are of

    def __init__(
        self, dim: int, state_dim: int, dt: tuple[float, float], act: Activation, out: Out | None
    ):
        super().__init__()
        block = type(self).__name__
        check_positive(block, dim=dim, state_dim=state_dim)
        if not 0 < dt[0] <= dt[1] < math.inf:
            raise SpecError(f"no length is between {dt}", field=f"{block}.dt")
        self.dim, self.state_dim, self.dt = dim, state_dim, dt
        self.log_dt, self.D = (nn.Parameter(torch.empty(dim)) for _ in range(2))
        self.act = activation(act)
        self.gated = out == "glu"
        self.out = nn.Linear(dim, 2 * dim if self.gated else dim) if out else None

    def reset_parameters(self) -> None:
        nn.init.uniform_(self.log_dt, math.log(self.dt[0]), math.log(self.dt[1]))
        nn.init.normal_(self.D)

    def kernel(self, length: int) -> Tensor:
        """What a one is answered with, at that token and at those after it: [D L]."""
        check_positive(type(self).__name__, length=length)
        wide = torch.promote_types(self.D.dtype, torch.float32)
        return Response(*self.system(wide), length).kernel()

    def forward(self, x: Tensor, step: Step | None = None, state: S4State | None = None) -> Tensor:
        check_input(x, self.dim, type(self).__name__)
        if state is not None:
            size = (self.dim, self.state_dim)
            check_state(type(self).__name__, state, S4State, x, self.recurrence, hidden=size)
        rows = Rows() if step is None else Rows.of(step)
        u = rows.take(x).to(torch.promote_types(x.dtype, torch.float32))  # R L D
        real = rows.real(u.shape[1])
        u = u if real is None else torch.where(real[..., None], u, 0.0)
        y = self._stepped(u, real, state) if u.shape[1] == 1 else self._all(u, rows.lengths, state)
        y = self.act(torch.addcmul(y, u, self.D.to(u.dtype)).to(x.dtype))
        if self.out is not None:
            y = F.glu(self.out(y)) if self.gated else self.out(y)
        return rows.put(y)  # B T D

    def _stepped(self, u: Tensor, real: Tensor | None, state: S4State | None) -> Tensor:
        """One token a row: [R 1 D] -> [R 1 D]."""
        before = u.new_zeros(len(u), self.dim, self.state_dim) if state is None else state.hidden
        h, y = self.one(_pairs(before) if self.paired else before, u[:, 0])
        if state is not None:
            now = _parts(h)
            state.hidden = now if real is None else torch.where(real[..., None], now, before)
        return y[:, None]

    def _all(self, u: Tensor, lengths: Tensor | None, state: S4State | None) -> Tensor:
        """Many at once, [R L D] -> [R L D]."""
        a, b, c = self.system(u.dtype)
        answers, u = Response(a, b, c, u.shape[1]), u.permute(2, 0, 1)  # D R L
        y = convolved(u, answers.kernel())
        if state is not None:
            h = _pairs(state.hidden) if a.is_complex() else state.hidden
            h = h.permute(1, 2, 0)  # D N R
            y = y + answers.free(after(a, h))
            whole = torch.full((u.shape[1],), u.shape[2], device=u.device)
            h = answers.last(u, whole if lengths is None else lengths, h)
            state.hidden = _parts(h.permute(2, 0, 1)).contiguous()
        return y.permute(1, 2, 0)

    def system(self, wide: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
        """A [D N N], or [D N] where it is diagonal, B [D N] and C [D N] of a step."""
        raise TypeError(f"{type(self).__name__} says no system")

    def one(self, h: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        """A step of states [R D N] with inputs [R D], where A is diagonal: states and y [R D]."""
        a, b, c = self.system(u.dtype)
        h = torch.addcmul(b * u[..., None], a, h)
        y = (c * h).sum(2)
        return h, y.real if y.is_complex() else y

    def init_state(self, batch: int, room: int | None, dtype: torch.dtype, device: Any) -> S4State:
        wide = torch.promote_types(dtype, torch.float32)
        size = (batch, self.dim, self.state_dim)
        return S4State(torch.zeros(size, dtype=wide, device=device), self.recurrence)


def _pairs(h: Tensor) -> Tensor:
    """Real and imaginary parts in turn, [… 2N] -> complex [… N]."""
    return torch.view_as_complex(h.unflatten(-1, (-1, 2)))


def _parts(h: Tensor) -> Tensor:
    """The inverse of `_pairs`; what is real stays as it is."""
    return torch.view_as_real(h).flatten(-2) if h.is_complex() else h
