"""LSTM: cells that gates write, keep and read."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from blocks.recurrent.stacked import Carry, CellState, Direction, Recurrent

__all__ = ["LSTM"]


class LSTM(Recurrent):
    r"""i = σ(W_i x_t + U_i h_{t−1} + p_i ⊙ c_{t−1})

        f = σ(W_f x_t + U_f h_{t−1} + p_f ⊙ c_{t−1})
        g = tanh(W_g x_t + U_g h_{t−1}),    c_t = f ⊙ c_{t−1} + i ⊙ g
        o = σ(W_o x_t + U_o h_{t−1} + p_o ⊙ c_t),    h_t = o ⊙ tanh(c_t),    c_0 = h_0 = 0

    Each W x and each U h has its bias. Hochreiter and Schmidhuber, 1997; forget gate: Gers et al.,
    2000; peepholes p: Gers et al., 2002, as in Graves, 2013, arXiv:1308.0850, equations 7 to 11.
    Parameters are named as those of `torch.nn.LSTM`, rows in the order i, f, g, o; p_i, p_f and
    p_o are the rows of `peephole_l0` and so on.

    Args:
        dim: width D of the input.
        hidden: width H of h and c; by default D, or D / 2 a direction where there are two.
        depth: layers above one another, of which each reads the one below.
        direction: `forward`; `backward` from each row's last token; `both`, side by side.
        peepholes: whether gates see the cells; without, p is 0.
        bias: whether biases are added.
        dropout: rate of dropped values in training, between layers.

    Shapes: x [B T D] -> [B T H], or [B T 2H] in both directions.

    Errors:
        SpecError: an input of another width.
        GenerationError: a state of something else, or any where direction isn't forward.

    Example:
        >>> import torch
        >>> from blocks import CausalLM, Chain, LSTM, Residual, RMSNorm, Spec, generate
        >>> lstm = Spec(Residual, inner=Spec(LSTM, depth=2), norm_in=RMSNorm)
        >>> layer = Spec(Chain, steps={"mixer": lstm})
        >>> model = CausalLM(vocab=50, dim=16, layers=(layer,), norm=RMSNorm)
        >>> generate(model, [1, 2, 3], max_new_tokens=4).shape
        torch.Size([1, 7])
    """

    gates = 4
    kept = CellState

    def __init__(
        self,
        dim: int,
        *,
        hidden: int | None = None,
        depth: int = 1,
        direction: Direction = "forward",
        peepholes: bool = False,
        bias: bool = True,
        dropout: float = 0.0,
    ):
        self.peepholes = peepholes
        self.cells = f"an LSTM {'with' if peepholes else 'without'} peepholes"
        super().__init__(dim, hidden, depth, direction, bias, dropout)

    def _sizes(self, width: int) -> dict[str, tuple[int, ...]]:
        seen = {"peephole": (3, self.hidden)} if self.peepholes else {}
        return super()._sizes(width) | seen

    def kernel(self) -> Callable[..., tuple[Tensor, ...]] | None:
        return None if self.peepholes else torch.lstm

    def cell(self, x: Tensor, carry: Carry, place: str) -> Carry:
        h, c = carry
        i, f, g, o = (x + F.linear(h, *self.recurrent(place))).chunk(4, -1)
        seen = self.part("peephole", place)  # 3 H
        if seen is not None:
            i, f = torch.addcmul(i, seen[0], c), torch.addcmul(f, seen[1], c)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        o = o if seen is None else torch.addcmul(o, seen[2], c)
        return torch.sigmoid(o) * torch.tanh(c), c  # R H each
