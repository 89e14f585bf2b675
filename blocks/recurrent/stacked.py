"""What RNN, LSTM and GRU share: layers above one another, directions, rows of their own lengths."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from blocks.errors import GenerationError, SpecError
from blocks.ops.check import check_input, check_positive, check_rate, check_state
from blocks.ops.rows import Rows
from blocks.state import Content
from blocks.step import Step

__all__ = ["CellState", "HiddenState"]

Direction = Literal["forward", "backward", "both"]
Carry = tuple[Tensor, ...]  # h, and c where there is one


@dataclass
class HiddenState(Content):
    """What each layer of an RNN or a GRU said last: [B depth H]; `of` names what they are."""

    timeless = True
    hidden: Tensor
    of: str


@dataclass
class CellState(Content):
    """What each layer of an LSTM said last and what its cells hold: [B depth H] both."""

    timeless = True
    hidden: Tensor
    cell: Tensor
    of: str


class Recurrent(nn.Module, ABC):
    """Layers of cells. A kind of them says how many gates it has, and what one step is.

    Parameters bear the names that torch.nn gives them, so that state dicts can be exchanged.
    """

    gates: int
    kept: type[HiddenState | CellState] = HiddenState
    cells: str  # what a state is of: cells of another kind would read it otherwise

    def __init__(
        self,
        dim: int,
        hidden: int | None,
        depth: int,
        direction: Direction,
        bias: bool,
        dropout: float,
    ):
        super().__init__()
        name = type(self).__name__
        check_positive(name, dim=dim, hidden=hidden, depth=depth)
        check_rate(name, dropout=dropout)
        ways = 2 if direction == "both" else 1
        if hidden is None and dim % ways:
            reason = f"dim {dim} is not two equal halves, one a direction"
            raise SpecError(reason, field=f"{name}.dim", hint="give hidden")
        self.dim, self.hidden, self.depth = dim, hidden or dim // ways, depth
        self.direction, self.ways, self.dropout = direction, ways, dropout
        self.bias = bias
        self.places = [
            f"l{layer}{way}" for layer in range(depth) for way in ("", "_reverse")[:ways]
        ]
        for n, place in enumerate(self.places):
            width = dim if n < ways else ways * self.hidden
            for name, size in self._sizes(width).items():
                self.register_parameter(f"{name}_{place}", nn.Parameter(torch.empty(size)))
        self.reset_parameters()

    def _sizes(self, width: int) -> dict[str, tuple[int, ...]]:
        """The parameters of one layer in one direction, whose input is so wide."""
        rows = self.gates * self.hidden
        sizes: dict[str, tuple[int, ...]] = {
            "weight_ih": (rows, width),
            "weight_hh": (rows, self.hidden),
        }
        return sizes | ({"bias_ih": (rows,), "bias_hh": (rows,)} if self.bias else {})

    def reset_parameters(self) -> None:
        bound = self.hidden**-0.5
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def part(self, name: str, place: str) -> Tensor | None:
        """A parameter of one layer in one direction; None where there is none."""
        return getattr(self, f"{name}_{place}", None)

    def recurrent(self, place: str) -> tuple[Tensor, Tensor | None]:
        """U and b_hh of one layer in one direction."""
        return getattr(self, f"weight_hh_{place}"), self.part("bias_hh", place)

    @abstractmethod
    def kernel(self) -> Callable[..., tuple[Tensor, ...]] | None:
        """torch's fused function of the same layers; None where it has none."""

    @abstractmethod
    def cell(self, x: Tensor, carry: Carry, place: str) -> Carry:
        """One step: W x + b_ih [R G·H] and the carry before -> the carry after, each [R H]."""

    def forward(self, x: Tensor, step: Step | None = None, state: Content | None = None) -> Tensor:
        check_input(x, self.dim, type(self).__name__)
        rows = Rows() if step is None else Rows.of(step)
        start = None if state is None else self._carry(state, x)
        y, end = self.run(rows.take(x), rows, start)
        if state is not None:
            for (name, old), new in zip(state.tensors(), end, strict=True):
                setattr(state, name, new.to(old.dtype))  # autocast gives another
        return rows.put(y)  # B T O

    def run(self, x: Tensor, rows: Rows, start: Carry | None = None) -> tuple[Tensor, Carry]:
        """Rows [R L D] from a carry of [R n H] each -> outputs [R L O] and the carry after them.

        n counts layers and their directions. The fused kernel does it where there is one; what is
        compiled is the loop, since compilers take kernels apart and fail at an LSTM's.
        """
        if start is None:
            size = (len(x), len(self.places), self.hidden)
            start = (x.new_zeros(size),) * (2 if self.kept is CellState else 1)
        plain = self.kernel() is None or torch.compiler.is_compiling()
        return self.loop(x, rows, start) if plain else self.fused(x, rows, start)

    def loop(self, x: Tensor, rows: Rows, start: Carry) -> tuple[Tensor, Carry]:
        """The equations as they are written, one token after another."""
        real = rows.real(x.shape[1])
        ends = []
        for layer in range(self.depth):
            if layer:
                x = torch.dropout(x, self.dropout, self.training)
            found = []
            for way in range(self.ways):
                n = layer * self.ways + way
                back = self.direction == "backward" or way == 1
                y, end = self._one(x, real, tuple(c[:, n] for c in start), self.places[n], back)
                found.append(y)
                ends.append(end)
            x = torch.cat(found, -1)  # R L O
        return x, tuple(torch.stack(each, 1) for each in zip(*ends, strict=True))

    def _one(
        self, x: Tensor, real: Tensor | None, carry: Carry, place: str, back: bool
    ) -> tuple[Tensor, Carry]:
        """One layer in one direction: [R L width] -> [R L H]."""
        weight, bias = getattr(self, f"weight_ih_{place}"), self.part("bias_ih", place)
        x = F.linear(x, weight, bias)  # R L G·H
        said = []
        times = range(x.shape[1])
        for t in reversed(times) if back else times:
            after = self.cell(x[:, t], carry, place)
            if real is not None:  # padding changes nothing
                now = real[:, t, None]
                pairs = zip(after, carry, strict=True)
                after = tuple(torch.where(now, new, old) for new, old in pairs)
            carry = after
            said.append(carry[0])
        return torch.stack(said[::-1] if back else said, 1), carry

    def fused(self, x: Tensor, rows: Rows, start: Carry) -> tuple[Tensor, Carry]:
        """The same by torch's kernel, which has no direction that is backward alone."""
        if self.direction == "backward":
            y, end = self._fused(rows.turn(x), rows, start)
            return rows.turn(y), end
        return self._fused(x, rows, start)

    def _fused(self, x: Tensor, rows: Rows, start: Carry) -> tuple[Tensor, Carry]:
        kernel = self.kernel()
        weights = [p for place in self.places for p in self._weights(place)]
        dropout = self.dropout if self.training else 0.0
        how = (weights, self.bias, self.depth, dropout, self.training, self.ways == 2)
        first = tuple(c.transpose(0, 1).contiguous() for c in start)  # n R H
        if rows.lengths is None or x.is_meta:  # lengths without numbers
            y, *last = kernel(x, _hidden(first), *how, True)  # pyright: ignore[reportOptionalCall]  # asked before
            return y, tuple(c.transpose(0, 1) for c in last)
        # A row without any token takes part with one that is not real.
        packed = pack_padded_sequence(
            x, rows.lengths.clamp(min=1).cpu(), batch_first=True, enforce_sorted=False
        )
        order, back = packed.sorted_indices, packed.unsorted_indices
        first = tuple(c.index_select(1, order) for c in first)  # pyright: ignore[reportArgumentType]  # not enforced above
        y, *last = kernel(packed.data, packed.batch_sizes, _hidden(first), *how)  # pyright: ignore[reportOptionalCall]  # asked before
        y, _ = pad_packed_sequence(
            PackedSequence(y, packed.batch_sizes, order, back),
            batch_first=True,
            total_length=x.shape[1],
        )
        some = (rows.lengths > 0)[:, None, None]
        ends = (c.index_select(1, back).transpose(0, 1) for c in last)  # pyright: ignore[reportArgumentType]  # not enforced above
        return y, tuple(torch.where(some, e, c) for e, c in zip(ends, start, strict=True))

    def _weights(self, place: str) -> list[Tensor]:
        names = ["weight_ih", "weight_hh", *(["bias_ih", "bias_hh"] if self.bias else [])]
        return [getattr(self, f"{name}_{place}") for name in names]

    def _carry(self, state: Content, x: Tensor) -> Carry:
        self._check_forward()
        size = (self.depth, self.hidden)
        check_state(type(self).__name__, state, self.kept, x, self.cells, hidden=size)
        return tuple(tensor for _, tensor in state.tensors())

    def _check_forward(self) -> None:
        if self.direction != "forward":
            reason = f"{type(self).__name__} reads from the end and can't be given a text in parts"
            raise GenerationError(reason, field="direction", hint="use direction='forward'")

    def init_state(self, batch: int, room: int | None, dtype: torch.dtype, device: Any) -> Content:
        self._check_forward()
        size = (batch, self.depth, self.hidden)
        parts = 2 if self.kept is CellState else 1
        none = [torch.zeros(size, dtype=dtype, device=device) for _ in range(parts)]
        return self.kept(*none, of=self.cells)


def _hidden(carry: Carry) -> Tensor | Carry:
    """As torch's functions take it: two tensors of an LSTM, the one of the others."""
    hidden, *cell = carry
    return (hidden, *cell) if cell else hidden
