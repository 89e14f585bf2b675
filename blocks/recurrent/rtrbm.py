"""RTRBM: a Boltzmann machine at every step, whose biases move with what was seen before."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blocks.ops.boltzmann import check_units, divergence, free_energy, log_partition
from blocks.ops.check import check_input, check_positive, check_state
from blocks.ops.rows import Rows
from blocks.recurrent.stacked import HiddenState
from blocks.step import Step

__all__ = ["RTRBM"]


class RTRBM(nn.Module):
    r"""p(v_t, h_t | v_{<t}) ∝ exp(h_tᵀ W v_t + bᵀ v_t + c_tᵀ h_t),    v and h of zeros and ones

        r_t = E[h_t | v_{≤t}] = σ(W v_t + c_t),    c_{t+1} = U r_t + d,    c_1 = c

    Sutskever, Hinton and Taylor, "The recurrent temporal restricted Boltzmann machine", 2008. What
    it learns by is `contrast`; `log_likelihood` is exact, for small ones. `dream` draws from it.

    Args:
        dim: visible units D.
        hidden: hidden units H; D by default.

    Shapes: v [B T D] -> r [B T H].

    Errors:
        SpecError: an input of another width, or values that aren't from 0 to 1.

    Example:
        >>> import torch
        >>> from blocks import RTRBM
        >>> machine, v = RTRBM(4, hidden=3), torch.bernoulli(torch.full((2, 5, 4), 0.5))
        >>> machine(v).shape, machine.contrast(v).shape
        (torch.Size([2, 5, 3]), torch.Size([2]))
    """

    def __init__(self, dim: int, *, hidden: int | None = None):
        super().__init__()
        check_positive("RTRBM", dim=dim, hidden=hidden)
        self.dim, self.hidden = dim, hidden or dim
        self.weight = nn.Parameter(torch.empty(self.hidden, dim))  # W
        self.visible = nn.Parameter(torch.empty(dim))  # b
        self.recurrent = nn.Linear(self.hidden, self.hidden)  # U and d
        self.first = nn.Parameter(torch.empty(self.hidden))  # c
        self.reset_parameters()

    def reset_parameters(self) -> None:
        for parameter in self.parameters():
            std = 0.01 if parameter.dim() > 1 else 0.0
            nn.init.normal_(parameter, std=std)

    def forward(
        self, x: Tensor, step: Step | None = None, state: HiddenState | None = None
    ) -> Tensor:
        check_input(x, self.dim, "RTRBM")
        rows = Rows() if step is None else Rows.of(step)
        if state is not None:
            check_state("RTRBM", state, HiddenState, x, hidden=(self.hidden,))
        r, _, after = self.run(rows.take(x), rows, None if state is None else state.hidden)
        if state is not None:
            state.hidden = after.to(state.hidden.dtype)
        return rows.put(r)  # B T H

    def run(self, v: Tensor, rows: Rows, c: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """r [R L H] and c [R L H] of each step, and c [R H] of the next."""
        now: Tensor = self.first.expand(len(v), -1) if c is None else c
        real, up = rows.real(v.shape[1]), F.linear(v, self.weight)
        check_units(v, real)
        found, biases = [], []
        for t in range(v.shape[1]):
            found.append(torch.sigmoid(up[:, t] + now))
            biases.append(now)
            after = self.recurrent(found[-1])
            now = after if real is None else torch.where(real[:, t, None], after, now)
        return torch.stack(found, 1), torch.stack(biases, 1), now

    def log_likelihood(self, v: Tensor, step: Step | None = None) -> Tensor:
        """log p(v_1 … v_T) of each row; all states of the smaller side, at most 16 units, count."""
        v, c, real = self._moved(v, step)
        check_units(v, real, sure=True)
        away = log_partition(self.weight, self.visible, c)
        return _sum(-free_energy(v, self.weight, self.visible, c) - away, real)

    def contrast(
        self,
        v: Tensor,
        step: Step | None = None,
        *,
        steps: int = 1,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """What to descend for each row: contrastive divergence, and backpropagation through time.

        At every step so many Gibbs updates lead from v_t to where the model would rather be.
        """
        v, c, real = self._moved(v, step)
        return _sum(divergence(v, self.weight, self.visible, c, steps, generator), real)

    def _moved(self, v: Tensor, step: Step | None) -> tuple[Tensor, Tensor, Tensor | None]:
        """Rows of v, their biases, and which of their steps are real."""
        check_input(v, self.dim, "RTRBM")
        rows = Rows() if step is None else Rows.of(step)
        real = rows.real((v := rows.take(v)).shape[1])
        v = v if real is None else torch.where(real[..., None], v, 0)
        return v, self.run(v, rows)[1], real

    def init_state(self, batch: int, room: int | None, dtype: torch.dtype, device: Any) -> Any:
        return HiddenState(self.first.to(dtype).expand(batch, -1).clone(), "RTRBM")


def _sum(each: Tensor, real: Tensor | None) -> Tensor:
    return (each if real is None else torch.where(real, each, 0)).sum(1)
