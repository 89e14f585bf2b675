"""Attending: a recurrent layer that looks at another sequence before each of its steps."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from blocks.attention.additive import AdditiveAttention
from blocks.attention.crossmemory import first_real
from blocks.errors import SpecError
from blocks.ops.check import check_input, check_positive, check_state
from blocks.ops.watch import noted
from blocks.recurrent.gru import GRU
from blocks.recurrent.looking import LookingState, unroll
from blocks.recurrent.stacked import Recurrent
from blocks.spec import Slot, Spec
from blocks.step import Step

__all__ = ["Attending"]


class Attending(nn.Module):
    r"""c_t = attention(s_{t−1}, m),    s_t = inner([x_t, c_t], s_{t−1}),    s_0 = tanh(W m_1 + b)

        y_t = [s_{t−1}, x_t, c_t]

    m is the step's memory; of its first place only the second half of the channels begins s, which
    in an encoder that reads both ways is what it knows after reading backward. Bahdanau et al.,
    2014, arXiv:1409.0473, appendix A.2.2, where a readout follows: see `bahdanau`.

    Args:
        dim: width D of the input.
        inner: slot of size (dim + reads), a recurrent block of one layer that reads forward.
        attention: slot of sizes (inner's hidden, reads): `AdditiveAttention`, `GaussianWindow`.
        reads: width R of the memory; D by default.

    Shapes: x [B T D], step.memory [B M R] -> [B T H + D + R].

    Errors:
        SpecError: an inner block of several layers, an input or memory of another width, or packed
            documents.
        GenerationError: a step without a memory.

    Example:
        >>> import torch
        >>> from blocks import Attending, GRU, Spec, Step
        >>> block = Attending(8, inner=Spec(GRU, hidden=6), reads=12)
        >>> step = Step(torch.arange(5)[None], memory=torch.randn(1, 9, 12))
        >>> block(torch.randn(1, 5, 8), step).shape
        torch.Size([1, 5, 26])
    """

    def __init__(
        self,
        dim: int,
        *,
        inner: Slot = Spec(GRU, reset="before"),
        attention: Slot = AdditiveAttention,
        reads: int | None = None,
    ):
        super().__init__()
        check_positive("Attending", dim=dim, reads=reads)
        self.dim, self.reads = dim, reads or dim
        self.inner = inner(dim + self.reads)
        if not isinstance(self.inner, Recurrent) or len(self.inner.places) > 1:
            raise SpecError("takes one recurrent layer that reads forward", field="Attending.inner")
        self.attention = attention(self.inner.hidden, self.reads)
        self.cut = self.reads // 2
        self.begin = nn.Linear(self.reads - self.cut, self.inner.hidden)

    def forward(self, x: Tensor, step: Step, state: LookingState | None = None) -> Tensor:
        s, c, weights = self._run(x, step, LookingState() if state is None else state)
        noted(pattern=weights[:, None, :-1])  # B 1 T M
        return torch.cat([s[:, :-1], x, c[:, :-1]], -1)  # B T H+D+R

    def pattern(self, x: Tensor, step: Step) -> Tensor:
        """The weights [B T M] with which each token reads the places of the memory."""
        return self._run(x, step, LookingState())[2][:, :-1]

    def _run(self, x: Tensor, step: Step, state: LookingState) -> tuple[Tensor, Tensor, Tensor]:
        check_input(x, self.dim, "Attending")
        check_state("Attending", state, LookingState, x)
        if step.segments is not None:
            raise SpecError("packed documents have one memory", field="segments")
        self.attention.read(step, state)
        if state.hidden is None:
            begin = first_real(state.v, state.real)[:, self.cut :]  # pyright: ignore[reportArgumentType]  # read by now
            s = torch.tanh(self.begin(begin))
            carry = (s, torch.zeros_like(s)) if self.inner.gates == 4 else (s,)
            state.keep(carry, self.attention.look(s, self.attention.blank(state), state))
        return unroll(
            self.inner, x, step.real, state, lambda s, seen: self.attention.look(s, seen, state)
        )

    def init_state(
        self, batch: int, room: int | None, dtype: torch.dtype, device: Any
    ) -> LookingState:
        return LookingState()
