"""GaussianWindow: soft windows that only move forward over another sequence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from blocks.attention.crossmemory import CrossState, memory_of
from blocks.errors import SpecError
from blocks.ops.check import check_input, check_positive, check_state
from blocks.step import Step

__all__ = ["GaussianWindow", "WindowState"]


@dataclass
class WindowState(CrossState):
    """What was read of the memory, and where [B N] the windows stand."""

    place: Tensor | None = None
    trims = False


class GaussianWindow(nn.Module):
    r"""φ_{tj} = Σ_n α_{tn} exp(−β_{tn} (κ_{tn} − j)²),    y_t = Σ_j φ_{tj} m_j

        (α̂_t, β̂_t, κ̂_t) = W x_t + b,    α = exp α̂,    β = exp β̂,    κ_t = κ_{t−1} + exp κ̂_t

    m_1, m_2, … are the places of the step's memory, the letters of a text for instance. Graves,
    "Generating sequences with recurrent neural networks", 2013, arXiv:1308.0850, equations 46 to
    51.

    Args:
        dim: width D of the input.
        reads: width R of the memory and the output; D by default.
        components: windows N.

    Shapes: x [B T D], step.memory [B M R] -> [B T R].

    Errors:
        SpecError: an input or memory of another width, or packed documents.
        GenerationError: a step without a memory.

    Example:
        >>> import torch
        >>> from blocks import GaussianWindow, Step
        >>> step = Step(torch.arange(5)[None], memory=torch.randn(1, 9, 12))
        >>> GaussianWindow(8, 12, components=3)(torch.randn(1, 5, 8), step).shape
        torch.Size([1, 5, 12])
    """

    def __init__(self, dim: int, reads: int | None = None, *, components: int = 10):
        super().__init__()
        check_positive("GaussianWindow", dim=dim, reads=reads, components=components)
        self.dim, self.reads, self.components = dim, reads or dim, components
        self.linear = nn.Linear(dim, 3 * components)

    def forward(self, x: Tensor, step: Step, state: WindowState | None = None) -> Tensor:
        check_input(x, self.dim, "GaussianWindow")
        state = WindowState() if state is None else state
        check_state("GaussianWindow", state, WindowState, x)
        if step.segments is not None:
            reason = "windows only move forward, and packed documents begin anew"
            raise SpecError(reason, field="segments")
        self.read(step, state)
        alpha, beta, moved = self.linear(x).exp().chunk(3, -1)  # B T N each
        moved = moved if step.real is None else moved * step.real[..., None]
        start = moved.new_zeros(()) if state.place is None else state.place[:, None]
        place = start + moved.cumsum(1)  # B T N
        state.place = place[:, -1].clone()
        return self._pattern(alpha, beta, place, state) @ state.v  # B T R  # pyright: ignore[reportOperatorIssue]  # read by now

    def read(self, step: Step, state: CrossState) -> None:
        """The state with the number [B M] of each place among the real ones, and the memory."""
        if state.k is None:
            memory = memory_of(step)
            if memory.dim() != 3 or memory.shape[-1] != self.reads:
                reason = f"a memory is [batch, places, {self.reads}], not {list(memory.shape)}"
                raise SpecError(reason, field="step.memory")
            ones = torch.ones_like(memory[..., 0])
            counted = ones if step.memory_real is None else ones * step.memory_real
            state.k, state.v, state.real = counted.cumsum(1), memory, step.memory_real

    def blank(self, state: CrossState) -> tuple[Tensor, ...]:
        """What is seen before the first look."""
        v: Tensor = state.v  # pyright: ignore[reportAssignmentType]  # read by now
        return (
            v.new_zeros(len(v), self.reads),
            v.new_zeros(v.shape[:2]),
            v.new_zeros(len(v), self.components),
        )

    def look(self, x: Tensor, seen: tuple[Tensor, ...], state: CrossState) -> tuple[Tensor, ...]:
        """One look of x [B D] after another: y [B R], φ [B M] and κ [B N]."""
        alpha, beta, moved = self.linear(x).exp().chunk(3, -1)  # B N each
        place = seen[2] + moved
        pattern = self._pattern(alpha[:, None], beta[:, None], place[:, None], state)  # B 1 M
        return (pattern @ state.v)[:, 0], pattern[:, 0], place  # pyright: ignore[reportOperatorIssue]  # read by now

    def _pattern(self, alpha: Tensor, beta: Tensor, place: Tensor, state: CrossState) -> Tensor:
        """φ [B T M] of [B T N]."""
        far = (place[..., None] - state.k[:, None, None]).square()  # B T N M  # pyright: ignore[reportOptionalSubscript]  # read by now
        pattern = (alpha[..., None] * torch.exp(-beta[..., None] * far)).sum(2)  # B T M
        return pattern if state.real is None else pattern * state.real[:, None]

    def init_state(
        self, batch: int, room: int | None, dtype: torch.dtype, device: Any
    ) -> WindowState:
        return WindowState()
