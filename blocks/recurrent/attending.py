"""Attending: a recurrent layer that looks at another sequence before each of its steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blocks.attention.additive import AdditiveAttention
from blocks.attention.crossmemory import CrossState, first_real
from blocks.errors import GenerationError, SpecError
from blocks.ops.check import check_input, check_positive
from blocks.recurrent.gru import GRU
from blocks.recurrent.stacked import Carry, Recurrent
from blocks.spec import Slot, Spec
from blocks.step import Step

__all__ = ["Attending", "AttendingState"]


@dataclass
class AttendingState(CrossState):
    """What was read of the memory, and the carry [B H] after the last token; None at first."""

    hidden: Tensor | None = None
    cell: Tensor | None = None
    trims = False


class Attending(nn.Module):
    r"""c_t = attention(s_{t−1}, m),    s_t = inner([x_t, c_t], s_{t−1}),    s_0 = tanh(W m_1 + b)

        y_t = [s_{t−1}, x_t, c_t]

    m is the step's memory; of its first place only the second half of the channels begins s, which
    in an encoder that reads both ways is what it knows after reading backward. Bahdanau et al.,
    2014, arXiv:1409.0473, appendix A.2.2, where a readout follows: see `bahdanau`.

    Args:
        dim: width D of the input.
        inner: slot of size (dim + reads), a recurrent block of one layer that reads forward.
        attention: slot of sizes (inner's hidden, reads), an `AdditiveAttention`.
        reads: width R of the memory; D by default.

    Shapes: x [B T D], step.memory [B M R] -> [B T H + D + R].

    Errors:
        SpecError: an inner block of several layers, or an input or memory of another width.
        GenerationError: a step without a memory, or packed documents.

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

    def forward(self, x: Tensor, step: Step, state: AttendingState | None = None) -> Tensor:
        return self._run(x, step, AttendingState() if state is None else state)[0]

    def pattern(self, x: Tensor, step: Step) -> Tensor:
        """The weights [B T M] with which each token reads the places of the memory."""
        return self._run(x, step, AttendingState())[1]

    def _run(self, x: Tensor, step: Step, state: AttendingState) -> tuple[Tensor, Tensor]:
        check_input(x, self.dim, "Attending")
        if step.segments is not None:
            raise GenerationError("packed documents have one memory", field="segments")
        self.attention.read(step, state)
        carry = self._start(state)
        own, other = getattr(self.inner, "weight_ih_l0").split((self.dim, self.reads), 1)  # noqa: B009  # registered by that name
        begun = F.linear(x, own, self.inner.part("bias_ih", "l0"))  # B T G·H
        found, looks = [], []
        for t in range(x.shape[1]):
            look = self.attention.weights(carry[0][:, None], state)  # B 1 M
            c = (look @ state.v)[:, 0]  # B R
            found.append(torch.cat([carry[0], x[:, t], c], -1))
            looks.append(look)
            after = self.inner.cell(begun[:, t] + F.linear(c, other), carry, "l0")
            if step.real is not None:  # padding changes nothing
                now = step.real[:, t, None]
                after = tuple(torch.where(now, n, o) for n, o in zip(after, carry, strict=True))
            carry = after
        state.hidden, state.cell = carry if len(carry) > 1 else (*carry, None)
        return torch.stack(found, 1), torch.cat(looks, 1)

    def _start(self, state: AttendingState) -> Carry:
        if state.hidden is None:
            begin = first_real(state.v, state.real)[:, self.cut :]  # pyright: ignore[reportArgumentType]  # read by now
            state.hidden = torch.tanh(self.begin(begin))
            state.cell = torch.zeros_like(state.hidden) if self.inner.gates == 4 else None
        return (state.hidden,) if state.cell is None else (state.hidden, state.cell)

    def init_state(
        self, batch: int, room: int | None, dtype: torch.dtype, device: Any
    ) -> AttendingState:
        return AttendingState()
