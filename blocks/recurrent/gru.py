"""GRU: two gates decide how much of what was remembered is kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from blocks.recurrent.stacked import Carry, Direction, Recurrent

__all__ = ["GRU"]


class GRU(Recurrent):
    r"""r = σ(W_r x_t + U_r h_{t−1}),    z = σ(W_z x_t + U_z h_{t−1})

        n = tanh(W_n x_t + r ⊙ (U_n h_{t−1}))      reset after the product
        n = tanh(W_n x_t + U_n (r ⊙ h_{t−1}))      reset before it
        h_t = (1 − z) ⊙ n + z ⊙ h_{t−1},    h_0 = 0

    Each W x and each U h has its bias. Before: Cho et al., 2014, arXiv:1406.1078; after: as torch
    does, whose `torch.nn.GRU` names its parameters as they are here, rows in the order r, z, n.

    Args:
        dim: width D of the input.
        hidden: width H of h; by default D, or D / 2 a direction where there are two.
        depth: layers above one another, of which each reads the one below.
        direction: `forward`; `backward` from each row's last token; `both`, side by side.
        reset: whether r resets `before` or `after` the product with U_n.
        bias: whether biases are added.
        dropout: rate of dropped values in training, between layers.

    Shapes: x [B T D] -> [B T H], or [B T 2H] in both directions.

    Errors:
        SpecError: an input of another width.
        GenerationError: a state of something else, or any where direction isn't forward.

    Example:
        >>> import torch
        >>> from blocks import GRU
        >>> GRU(8, hidden=6, direction="both")(torch.randn(1, 5, 8)).shape
        torch.Size([1, 5, 12])
    """

    gates = 3

    def __init__(
        self,
        dim: int,
        *,
        hidden: int | None = None,
        depth: int = 1,
        direction: Direction = "forward",
        reset: Literal["before", "after"] = "after",
        bias: bool = True,
        dropout: float = 0.0,
    ):
        super().__init__(dim, hidden, depth, direction, bias, dropout)
        self.reset, self.cells = reset, f"a GRU that resets {reset} the product"

    def kernel(self) -> Callable[..., tuple[Tensor, ...]] | None:
        return torch.gru if self.reset == "after" else None

    def cell(self, x: Tensor, carry: Carry, place: str) -> Carry:
        (h,) = carry
        weight, bias = self.recurrent(place)
        size = 2 * self.hidden
        gates, new = x.split((size, self.hidden), -1)
        if self.reset == "after":
            told = F.linear(h, weight, bias)
            r, z = torch.sigmoid(gates + told[:, :size]).chunk(2, -1)
            n = torch.tanh(new + r * told[:, size:])
        else:
            early, late = (None, None) if bias is None else (bias[:size], bias[size:])
            r, z = torch.sigmoid(gates + F.linear(h, weight[:size], early)).chunk(2, -1)
            n = torch.tanh(new + F.linear(r * h, weight[size:], late))
        return (n + z * (h - n),)  # R H
