"""RNN: what a layer says is read by itself at the next token."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from blocks.recurrent.stacked import Carry, Direction, Recurrent

__all__ = ["RNN"]


class RNN(Recurrent):
    r"""h_t = act(W x_t + b_ih + U h_{t−1} + b_hh),    h_0 = 0

    Elman, "Finding structure in time", 1990. Parameters are named as those of `torch.nn.RNN`.

    Args:
        dim: width D of the input.
        hidden: width H of h; by default D, or D / 2 a direction where there are two.
        depth: layers above one another, of which each reads the one below.
        direction: `forward`; `backward` from each row's last token; `both`, side by side.
        act: `tanh` or `relu`.
        bias: whether b_ih and b_hh are added.
        dropout: rate of dropped values in training, between layers.

    Shapes: x [B T D] -> [B T H], or [B T 2H] in both directions.

    Errors:
        SpecError: an input of another width.
        GenerationError: a state of something else, or any where direction isn't forward.

    Example:
        >>> import torch
        >>> from blocks import RNN, State
        >>> rnn, x = RNN(8, hidden=6, depth=2), torch.randn(1, 5, 8)
        >>> state = State.of(rnn, 1)
        >>> parts = [state.run(rnn, part) for part in x.split(2, 1)]
        >>> torch.allclose(torch.cat(parts, 1), rnn(x), atol=1e-6)
        True
    """

    gates = 1

    def __init__(
        self,
        dim: int,
        *,
        hidden: int | None = None,
        depth: int = 1,
        direction: Direction = "forward",
        act: Literal["tanh", "relu"] = "tanh",
        bias: bool = True,
        dropout: float = 0.0,
    ):
        super().__init__(dim, hidden, depth, direction, bias, dropout)
        self.act, self.cells = act, f"an RNN of {act}"

    def kernel(self) -> Callable[..., tuple[Tensor, ...]]:
        return torch.rnn_tanh if self.act == "tanh" else torch.rnn_relu

    def cell(self, x: Tensor, carry: Carry, place: str) -> Carry:
        (h,) = carry
        h = x + F.linear(h, *self.recurrent(place))
        return (torch.tanh(h) if self.act == "tanh" else torch.relu(h),)  # R H
