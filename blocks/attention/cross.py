"""Cross-attention: a sequence reads another one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from blocks.attention.crossmemory import CrossState, memory_of
from blocks.errors import SpecError
from blocks.ops.attend import attend
from blocks.ops.check import check_heads, check_input, check_positive, check_rate
from blocks.spec import Slot
from blocks.step import Step

__all__ = ["CrossAttention"]


class CrossAttention(nn.Module):
    r"""Queries come from x, keys and values from the step's memory m, of which all is seen, or what
    the step's `memory_real` lets each token see:

        y_h = softmax(q_h(x) k_{g(h)}(m)ᵀ · scale) v_{g(h)}(m),     output = W_out [y_1 … y_H]

    Vaswani et al., 2017, arXiv:1706.03762, section 3.2.3. With a state, keys and values are
    computed by its first step alone.

    Args:
        dim: width D of the input, the output and the memory.
        heads, kv_heads: query heads H; key/value heads K, a divisor of H, H by default.
        head_dim: width E of a head, D / H by default.
        bias, out_bias: biases on the query, key and value projections; one on the output's.
        key_bias: overrides `bias` for keys.
        scale: what scores are multiplied with; 1/√E by default.
        dropout: rate of dropped weights in training.
        norm: slot of size (dim), the norm of m.

    Shapes: x [B T D], step.memory [B M D] -> [B T D].

    Errors:
        SpecError: sizes that don't fit each other, or an input or memory of another width.
        GenerationError: a step without a memory.

    Example:
        >>> import torch
        >>> from blocks import CrossAttention, Step
        >>> step = Step(torch.arange(5)[None], memory=torch.randn(1, 9, 64))
        >>> CrossAttention(64, heads=8)(torch.randn(1, 5, 64), step).shape
        torch.Size([1, 5, 64])
    """

    def __init__(
        self,
        dim: int,
        *,
        heads: int,
        kv_heads: int | None = None,
        head_dim: int | None = None,
        bias: bool = False,
        key_bias: bool | None = None,
        out_bias: bool = False,
        scale: float | None = None,
        dropout: float = 0.0,
        norm: Slot | None = None,
    ):
        super().__init__()
        kv_heads = heads if kv_heads is None else kv_heads
        check_positive("CrossAttention", scale=scale)
        check_rate("CrossAttention", dropout=dropout)
        e = check_heads("CrossAttention", dim, heads, kv_heads, head_dim)
        self.dim, self.heads, self.kv_heads, self.head_dim = dim, heads, kv_heads, e
        self.scale, self.dropout = scale, dropout
        self.norm = norm(dim) if norm else None
        self.q = nn.Linear(dim, heads * e, bias=bias)
        self.k = nn.Linear(dim, kv_heads * e, bias=bias if key_bias is None else key_bias)
        self.v = nn.Linear(dim, kv_heads * e, bias=bias)
        self.out = nn.Linear(heads * e, dim, bias=out_bias)

    def forward(self, x: Tensor, step: Step, state: CrossState | None = None) -> Tensor:
        check_input(x, self.dim, "CrossAttention")
        each = step.memory_real is not None and step.memory_real.dim() == 3
        state = CrossState() if state is None or each else state
        if state.k is None:
            self._read(step, state)
        q = self.q(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # B H T E
        real = state.real
        seen = None if real is None else real[:, None] if each else real[:, None, None]
        dropout = self.dropout if self.training else 0.0
        how = {"seen": seen, "scale": self.scale, "dropout": dropout}
        y = attend(q, state.k, state.v, **how)  # B H T E  # pyright: ignore[reportArgumentType]  # read by now
        return self.out(y.transpose(1, 2).flatten(2))  # B T D

    def _read(self, step: Step, state: CrossState) -> None:
        memory = memory_of(step)
        if memory.shape[-1] != self.dim or memory.dim() != 3:
            wanted = f"[batch, places, {self.dim}]"
            raise SpecError(f"a memory is {wanted}, not {list(memory.shape)}", field="step.memory")
        memory = memory if self.norm is None else self.norm(memory)
        state.k = self.k(memory).unflatten(-1, (self.kv_heads, -1)).transpose(1, 2)  # B K M E
        state.v = self.v(memory).unflatten(-1, (self.kv_heads, -1)).transpose(1, 2)  # B K M E
        state.real = step.memory_real

    def init_state(
        self, batch: int, room: int | None, dtype: torch.dtype, device: Any
    ) -> CrossState:
        return CrossState()
