"""Additive attention: scores from a small network instead of a product."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from blocks.attention.crossmemory import CrossState, memory_of
from blocks.errors import SpecError
from blocks.ops.check import check_input, check_positive
from blocks.ops.watch import noted
from blocks.step import Step

__all__ = ["AdditiveAttention"]


class AdditiveAttention(nn.Module):
    r"""e_j = vᵀ tanh(W x + U m_j + b),    α = softmax(e),    y = Σ_j α_j m_j

    m are the places of the step's memory. Bahdanau et al., "Neural machine translation by jointly
    learning to align and translate", 2014, arXiv:1409.0473, appendix A.1.2.

    Args:
        dim: width D of the input.
        reads: width R of the memory and the output; D by default.
        hidden: width F of the small network; D by default.
        bias: whether there is a b.

    Shapes: x [B T D], step.memory [B M R] -> [B T R].

    Errors:
        SpecError: an input or memory of another width.
        GenerationError: a step without a memory.

    Example:
        >>> import torch
        >>> from blocks import AdditiveAttention, Step
        >>> attention = AdditiveAttention(8, 12, hidden=6)
        >>> step = Step(torch.arange(5)[None], memory=torch.randn(1, 9, 12))
        >>> x = torch.randn(1, 5, 8)
        >>> attention(x, step).shape, attention.pattern(x, step).shape
        (torch.Size([1, 5, 12]), torch.Size([1, 5, 9]))
    """

    def __init__(
        self, dim: int, reads: int | None = None, *, hidden: int | None = None, bias: bool = True
    ):
        super().__init__()
        check_positive("AdditiveAttention", dim=dim, reads=reads, hidden=hidden)
        self.dim, self.reads = dim, reads or dim
        self.q = nn.Linear(dim, hidden or dim, bias=False)
        self.k = nn.Linear(self.reads, hidden or dim, bias=bias)
        self.score = nn.Linear(hidden or dim, 1, bias=False)

    def forward(self, x: Tensor, step: Step, state: CrossState | None = None) -> Tensor:
        check_input(x, self.dim, "AdditiveAttention")
        state = CrossState() if state is None else state
        self.read(step, state)
        (pattern,) = noted(pattern=self.weights(x, state)[:, None])  # B 1 T M
        return pattern[:, 0] @ state.v  # B T R  # pyright: ignore[reportOperatorIssue]  # read by now

    def pattern(self, x: Tensor, step: Step) -> Tensor:
        """α [B T M]: how much of each place of the memory each token takes."""
        state = CrossState()
        self.read(step, state)
        return self.weights(x, state)

    def read(self, step: Step, state: CrossState) -> None:
        """The state with what doesn't depend on x, computed once: U m + b [B M F] and m itself."""
        if state.k is None:
            memory = memory_of(step)
            if memory.dim() != 3 or memory.shape[-1] != self.reads:
                reason = f"a memory is [batch, places, {self.reads}], not {list(memory.shape)}"
                raise SpecError(reason, field="step.memory")
            state.k, state.v, state.real = self.k(memory), memory, step.memory_real

    def weights(self, x: Tensor, state: CrossState) -> Tensor:
        """α [B T M] of x [B T D], over what was read."""
        sums = self.q(x)[:, :, None] + state.k[:, None]  # B T M F  # pyright: ignore[reportOptionalSubscript]  # read by now
        scores = self.score(torch.tanh(sums))[..., 0]  # B T M
        if state.real is not None:
            scores = scores.masked_fill(~state.real[:, None], torch.finfo(scores.dtype).min)
        return scores.softmax(-1)

    def blank(self, state: CrossState) -> tuple[Tensor, ...]:
        """What is seen before the first look."""
        v: Tensor = state.v  # pyright: ignore[reportAssignmentType]  # read by now
        return v.new_zeros(len(v), self.reads), v.new_zeros(v.shape[:2])

    def look(self, x: Tensor, seen: tuple[Tensor, ...], state: CrossState) -> tuple[Tensor, ...]:
        """One look of x [B D], which doesn't depend on those before: y [B R] and α [B M]."""
        weights = self.weights(x[:, None], state)
        return (weights @ state.v)[:, 0], weights[:, 0]  # pyright: ignore[reportOperatorIssue]  # read by now

    def init_state(
        self, batch: int, room: int | None, dtype: torch.dtype, device: Any
    ) -> CrossState:
        return CrossState()
