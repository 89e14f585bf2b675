"""Grouped-query attention: softmax attention whose query heads share key/value heads."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from blocks.attention.mask import Causal, Mask
from blocks.attention.memory import KVState, recall
from blocks.attention.ring import state_for
from blocks.ops.attend import attend
from blocks.ops.check import check_heads, check_input, check_positive, check_rate
from blocks.ops.table import biases
from blocks.ops.together import together
from blocks.ops.wants import wants
from blocks.spec import Slot
from blocks.step import Step

__all__ = ["GQAttention"]


class GQAttention(nn.Module):
    r"""Query head h reads the key/value head of its group g(h) = h·K // H:

        y_h = softmax(q_h k_{g(h)}ᵀ · scale) v_{g(h)},        output = W_out [y_1 … y_H]

    kv_heads = heads is multi-head (Vaswani, 2017, arXiv:1706.03762), 1 multi-query attention
    (Shazeer, 2019, arXiv:1911.02150); between them: Ainslie et al., 2023, arXiv:2305.13245.

    Args:
        dim, out_dim: width D of the input; width of the output, D by default.
        heads, kv_heads: query heads H; key/value heads K, a divisor of H, H by default.
        head_dim, value_dim: width E of a head, D / H by default, and of its values, E by default.
        bias, key_bias, out_bias: biases on the projections of q, k, v; of k if it differs; of y.
        qk: what happens to queries and keys before the scores, in order: `RoPE`, `QKNorm`.
            Sizes (head_dim, heads, kv_heads), forward (q, k, step) -> (q, k).
        values: what happens to the values: `Clip`, `RMSNorm`. Size (value_dim).
        scores: maps of the scores such as `SoftCap`, in order, then biases: `ALiBi`. Size (heads).
        mask: which keys a query may see: `Causal()`, `Window(n)`, `Full()` ...
        gate: what multiplies what heads find: `OutputGate`. Sizes (dim, heads, value_dim).
        sinks: a learnt score a head for a key without a value (Xiao, 2023, arXiv:2309.17453).
        scale, dropout: what scores are multiplied with, 1/√E by default; rate of dropped weights.

    Shapes: x [B T D] -> [B T out_dim]. B batch, T tokens, S tokens seen.

    Errors:
        SpecError: sizes that don't fit each other, or an input of another width.

    Example:
        >>> import torch
        >>> from blocks import GQAttention, RoPE, Spec
        >>> GQAttention(64, heads=8, kv_heads=2, qk=(Spec(RoPE),))(torch.randn(1, 5, 64)).shape
        torch.Size([1, 5, 64])
    """

    quick = False  # whether the library's kernels may attend

    def __init__(
        self,
        dim: int,
        *,
        heads: int,
        kv_heads: int | None = None,
        head_dim: int | None = None,
        value_dim: int | None = None,
        out_dim: int | None = None,
        bias: bool = False,
        key_bias: bool | None = None,
        out_bias: bool = False,
        qk: tuple[Slot, ...] = (),
        values: Slot | None = None,
        scores: tuple[Slot, ...] = (),
        mask: Mask = Causal(),  # frozen
        gate: Slot | None = None,
        scale: float | None = None,
        sinks: bool = False,
        dropout: float = 0.0,
    ):
        super().__init__()
        kv_heads = heads if kv_heads is None else kv_heads
        check_positive("GQAttention", scale=scale, value_dim=value_dim, out_dim=out_dim)
        check_rate("GQAttention", dropout=dropout)
        e = check_heads("GQAttention", dim, heads, kv_heads, head_dim)
        v = value_dim or e
        self.dim, self.heads, self.kv_heads, self.head_dim = dim, heads, kv_heads, e
        self.value_dim, self.mask, self.scale, self.dropout = v, mask, scale, dropout
        self.q = nn.Linear(dim, heads * e, bias=bias)
        self.k = nn.Linear(dim, kv_heads * e, bias=bias if key_bias is None else key_bias)
        self.v = nn.Linear(dim, kv_heads * v, bias=bias)
        self.qk = nn.ModuleList([part(e, heads, kv_heads) for part in qk])
        self.values = values(v) if values else None
        self.scores = nn.ModuleList([part(heads) for part in scores])
        self.sinks = nn.Parameter(torch.zeros(heads)) if sinks else None
        self.gate = gate(dim, heads, v) if gate else None
        self.out = nn.Linear(heads * v, out_dim or dim, bias=out_bias)
        self._biases = [i for i, part in enumerate(self.scores) if "k_positions" in wants(part)]

    def forward(self, x: Tensor, step: Step | None = None, state: KVState | None = None) -> Tensor:
        check_input(x, self.dim, "GQAttention")
        step = Step.plain(x) if step is None else step
        heads = (self.heads, self.kv_heads, self.kv_heads)
        parts = zip(together(x, self.q, self.k, self.v), heads, strict=True)
        q, k, v = (y.unflatten(-1, (h, -1)).transpose(1, 2) for y, h in parts)  # B H|K T E
        v = v if self.values is None else self.values(v)  # B K T V
        for part in self.qk:
            q, k = part(q, k, step)
        seen = recall("GQAttention", state, k, v, step)  # B K S E
        bias = biases([self.scores[i] for i in self._biases], step.positions, seen.positions)
        maps = [part for i, part in enumerate(self.scores) if i not in self._biases]
        how = {**seen.shown(self.mask, step), "bias": bias, "maps": maps, "sinks": self.sinks}
        how |= {"scale": self.scale, "dropout": self.dropout * self.training, "quick": self.quick}
        y = attend(q, seen.k, seen.v, **how)
        y = y if self.gate is None else self.gate(y, x)  # B H T V
        return self.out(y.transpose(1, 2).flatten(2))  # B T D

    def init_state(self, batch: int, room: int | None, dtype: torch.dtype, device: Any) -> KVState:
        dims, like = (self.head_dim, self.value_dim), {"dtype": dtype, "device": device}
        return state_for(self.mask, batch, self.kv_heads, room, dims, like)
