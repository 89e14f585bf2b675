"""RG-LRU: a linear recurrence a channel, whose decay is gated by the token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blocks.errors import SpecError
from blocks.ops.check import check_input, check_positive, check_state
from blocks.ops.recurrence import scan
from blocks.ops.rows import Rows
from blocks.recurrent.headwise import HeadLinear
from blocks.state import Content
from blocks.step import Step

__all__ = ["RGLRU", "RGLRUState"]

_POWER = 8.0  # the paper's c
_SMALLEST = 1e-6  # below it the gradient of a root is that of a line: at most 1 / √_SMALLEST


@dataclass
class RGLRUState(Content):
    """The hidden state [B D] after the last token."""

    timeless = True
    wide = ("hidden",)
    hidden: Tensor


class RGLRU(nn.Module):
    r"""h_t = a_t ⊙ h_{t−1} + √(1 − a_t²) ⊙ i_t ⊙ x_t,        log a_t = −8 r_t ⊙ softplus(decay)

        r_t = sigmoid(decay_gate x_t),    i_t = sigmoid(input_gate x_t),    a_1 = 0, h_1 = i_1 ⊙ x_1

    Gates mix the channels of a head. De et al., "Griffin", 2024, arXiv:2402.19427, section 2.4.

    Args:
        dim: channels D.
        heads: into how many heads H the gates cut them, each with its own matrix.

    Shapes: x [B T D] -> h [B T D].

    Errors:
        SpecError: heads that don't divide the channels, or an input of another width.
        GenerationError: a state of another block, batch or dtype.

    Example:
        >>> import torch
        >>> from blocks import RGLRU, State
        >>> lru, x = RGLRU(8, heads=2), torch.randn(1, 6, 8)
        >>> state = State.of(lru, 1)
        >>> parts = [state.run(lru, part) for part in x.split(2, 1)]
        >>> torch.allclose(torch.cat(parts, 1), lru(x), atol=1e-6)
        True
    """

    def __init__(self, dim: int, *, heads: int):
        super().__init__()
        check_positive("RGLRU", dim=dim, heads=heads)
        if dim % heads:
            raise SpecError(f"dim {dim} is not a multiple of heads {heads}", field="RGLRU.heads")
        self.dim = dim
        self.input_gate = HeadLinear(heads, dim // heads)
        self.decay_gate = HeadLinear(heads, dim // heads)
        self.decay = nn.Parameter(torch.empty(dim))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """exp(−softplus(decay)) falls evenly on a ring between the radii 0.9 and 0.999."""
        with torch.no_grad():
            radius = self.decay.uniform_(0.9**2, 0.999**2).sqrt()
            self.decay.copy_((1 / radius - 1).log())

    def forward(
        self, x: Tensor, step: Step | None = None, state: RGLRUState | None = None
    ) -> Tensor:
        check_input(x, self.dim, "RGLRU")
        if state is not None:
            check_state("RGLRU", state, RGLRUState, x, hidden=(self.dim,))
        step = Step.plain(x) if step is None else step
        rows = Rows.of(step)
        first = rows.take(step.positions.expand(x.shape[:2])) == 0  # R L
        a, b = self._gated(rows.take(x), first[..., None])
        real = rows.real(a.shape[1])
        if real is not None:
            a, b = torch.where(real[..., None], a, 1.0), torch.where(real[..., None], b, 0.0)
        h = scan(a, b, None if state is None else state.hidden)
        if state is not None:
            state.hidden = h[:, -1].clone()  # a view would keep all of h
        return rows.put(h.to(x.dtype))  # B T D

    def _gated(self, x: Tensor, first: Tensor) -> tuple[Tensor, Tensor]:
        """What the recurrence is made of: its decays and inputs, in at least float32."""
        wide = torch.promote_types(x.dtype, torch.float32)
        r, i = (torch.sigmoid(gate(x).to(wide)) for gate in (self.decay_gate, self.input_gate))
        log_a = -_POWER * r * F.softplus(self.decay.to(wide))  # R L D
        a, b = log_a.exp(), x.to(wide) * i
        root = _root(-torch.expm1(2 * log_a))  # of 1 − a²
        return torch.where(first, 0.0, a), torch.where(first, b, b * root)

    def init_state(
        self, batch: int, room: int | None, dtype: torch.dtype, device: Any
    ) -> RGLRUState:
        wide = torch.promote_types(dtype, torch.float32)
        return RGLRUState(torch.zeros(batch, self.dim, dtype=wide, device=device))


def _root(x: Tensor) -> Tensor:
    line = x * x.clamp(min=_SMALLEST).rsqrt()
    return line + (x.sqrt() - line).detach()
