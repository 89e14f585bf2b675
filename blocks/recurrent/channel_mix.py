"""RWKV's channel mix: an MLP that also reads the token before, behind a gate."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from blocks.conv.causal import TailState
from blocks.mlp.activations import Activation, activation
from blocks.ops.check import check_input, check_positive, check_state
from blocks.ops.rows import Rows
from blocks.step import Step

__all__ = ["RWKVChannelMix"]


class RWKVChannelMix(nn.Module):
    r"""y = σ(W_r x^r) ⊙ W_v act(W_k x^k),        x^k = m_k ⊙ x_t + (1 − m_k) ⊙ x_{t−1}

    and x^r likewise. Peng et al., "RWKV", 2023, arXiv:2305.13048, section 3.

    Args:
        dim: width D of the input and output.
        hidden: width F inside, 4 D by default.
        act: the activation inside.

    Shapes: x [B T D] -> [B T D].

    Errors:
        SpecError: a size below one, or an input of another width.
        GenerationError: a state of another block, batch or dtype.

    Example:
        >>> import torch
        >>> from blocks import RWKVChannelMix
        >>> RWKVChannelMix(16)(torch.randn(1, 5, 16)).shape
        torch.Size([1, 5, 16])
    """

    def __init__(self, dim: int, *, hidden: int | None = None, act: Activation = "relu2"):
        super().__init__()
        check_positive("RWKVChannelMix", dim=dim, hidden=hidden)
        self.dim, hidden, self.act = dim, hidden or 4 * dim, activation(act)
        self.k = nn.Linear(dim, hidden, bias=False)
        self.r = nn.Linear(dim, dim, bias=False)
        self.v = nn.Linear(hidden, dim, bias=False)
        self.k_mix, self.r_mix = (nn.Parameter(torch.empty(dim)) for _ in range(2))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.uniform_(self.k_mix)
        nn.init.uniform_(self.r_mix)

    def forward(
        self, x: Tensor, step: Step | None = None, state: TailState | None = None
    ) -> Tensor:
        check_input(x, self.dim, "RWKVChannelMix")
        if state is not None:
            check_state("RWKVChannelMix", state, TailState, x, tail=(1, self.dim))
        rows = Rows() if step is None else Rows.of(step)
        x = rows.take(x)  # R L D
        tail = torch.zeros_like(x[:, :1]) if state is None else state.tail
        before = torch.cat([tail, x[:, :-1]], 1)
        if state is not None:
            state.tail = rows.newest(tail, x)
        (hidden,) = rows.noted(hidden=self.act(self.k(torch.lerp(before, x, self.k_mix))))
        y = self.v(hidden)
        return rows.put(self.r(torch.lerp(before, x, self.r_mix)).sigmoid() * y)  # B T D

    def init_state(
        self, batch: int, room: int | None, dtype: torch.dtype, device: Any
    ) -> TailState:
        tail = torch.zeros(batch, 1, self.dim, dtype=dtype, device=device)
        return TailState(tail, "RWKVChannelMix")
