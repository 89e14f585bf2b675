"""SkipStack: recurrent layers, each of which reads the input and is read by the output."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from blocks.errors import SpecError
from blocks.ops.check import check_input, check_positive, check_state
from blocks.recurrent.looking import LookingState, unroll
from blocks.recurrent.stacked import Recurrent
from blocks.spec import Slot
from blocks.state import content_of
from blocks.step import Step

__all__ = ["SkipStack"]


class SkipStack(nn.Module):
    r"""h^1_t = inner_1([x_t, w_{t−1}]),    w_t = attention(h^1_t, m),    w_0 = 0

        h^n_t = inner_n([x_t, w_t, h^{n−1}_t]),    y_t = [h^1_t, …, h^N_t]

    m is the step's memory; without attention there is no w. Graves, "Generating sequences with
    recurrent neural networks", 2013, arXiv:1308.0850, sections 2 and 5.

    Args:
        dim: width D of the input.
        inner: slot of one size, a recurrent block of one layer that reads forward.
        depth: layers N.
        attention: slot of sizes (inner's hidden, reads), a `GaussianWindow`.
        reads: width R of the memory, where there is attention; D by default.

    Shapes: x [B T D], step.memory [B M R] -> [B T N·H].

    Attributes:
        width: of the output, N·H.

    Errors:
        SpecError: an inner block of several layers, an input or memory of another width, or
            attention to packed documents.
        GenerationError: attention without a memory.

    Example:
        >>> import torch
        >>> from blocks import LSTM, SkipStack, Spec
        >>> lstm = Spec(LSTM, hidden=8, peepholes=True)
        >>> SkipStack(5, inner=lstm, depth=3)(torch.randn(1, 4, 5)).shape
        torch.Size([1, 4, 24])
    """

    def __init__(
        self,
        dim: int,
        *,
        inner: Slot,
        depth: int = 1,
        attention: Slot | None = None,
        reads: int | None = None,
    ):
        super().__init__()
        check_positive("SkipStack", dim=dim, depth=depth, reads=reads)
        self.dim, self.reads = dim, (reads or dim) if attention else 0
        layers = [inner(dim + self.reads)]
        if not isinstance(layers[0], Recurrent) or len(layers[0].places) > 1:
            raise SpecError("takes one recurrent layer that reads forward", field="SkipStack.inner")
        hidden = layers[0].hidden
        layers += [inner(dim + self.reads + hidden) for _ in range(depth - 1)]
        self.layers = nn.ModuleList(layers)
        self.attention = attention(hidden, self.reads) if attention else None
        self.width = depth * hidden

    def forward(self, x: Tensor, step: Step | None = None, state: Any = None) -> Tensor:
        check_input(x, self.dim, "SkipStack")
        contents = [None] * len(self.layers) if state is None else state
        if self.attention is None:
            said = [self.layers[0](x, step, contents[0])]
        else:
            first, seen = self._look(x, Step.plain(x) if step is None else step, contents[0])
            said, x = [first], torch.cat([x, seen], -1)
        for layer, content in zip(self.layers[1:], contents[1:], strict=True):
            said.append(layer(torch.cat([x, said[-1]], -1), step, content))
        return torch.cat(said, -1)  # B T N·H

    def _look(self, x: Tensor, step: Step, state: LookingState | None) -> tuple[Tensor, Tensor]:
        """What the first layer says [B T H] and sees [B T R]."""
        attention: Any = self.attention
        inner: Any = self.layers[0]
        if step.segments is not None:
            raise SpecError("packed documents have one memory", field="segments")
        state = LookingState() if state is None else state
        check_state("SkipStack", state, LookingState, x)
        attention.read(step, state)
        if state.hidden is None:
            zeros = x.new_zeros(len(x), inner.hidden)
            carry = (zeros, zeros) if inner.gates == 4 else (zeros,)
            state.keep(carry, attention.blank(state))
        s, w, _ = unroll(inner, x, step.real, state, lambda s, seen: attention.look(s, seen, state))
        return s[:, 1:], w[:, 1:]

    def init_state(self, batch: int, room: int | None, dtype: torch.dtype, device: Any) -> Any:
        state = content_of(self.layers, batch, room, dtype, device)
        return [LookingState(), *state[1:]] if self.attention else state
