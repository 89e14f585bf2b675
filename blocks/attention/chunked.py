"""Chunk attention: each chunk of tokens sees itself and its neighbours, in linear time."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from blocks.attention.mask import Causal, Mask
from blocks.attention.memory import KVState
from blocks.attention.near import NearChunks
from blocks.attention.ring import state_for
from blocks.attention.seen import Seen
from blocks.ops.attend import attend
from blocks.ops.check import check_heads, check_input, check_positive, check_rate
from blocks.ops.chunks import cut, joined, near_table, spread, taken, to_front
from blocks.step import Step

__all__ = ["ChunkAttention"]


class ChunkAttention(nn.Module):
    r"""y_t = Σ_s softmax_s(q_t k_sᵀ / √E) v_s,     s in the chunk of t and those beside it

    What `GQAttention(mask=mask & NearChunks(chunk, before, after))` computes, in time and memory
    that grow with T · chunk. The local layers of Reformer: Kitaev et al., 2020, arXiv:2001.04451.

    Args:
        dim: width D of the input and output.
        heads: heads H.
        head_dim: width E of a head, D / H by default.
        chunk: tokens L of a chunk.
        before, after: how many chunks on either side a chunk sees beside itself.
        bias, out_bias: biases on the query, key and value projections; one on the output's.
        mask: which of these keys a query sees: `Causal()`, `Full()`.
        dropout: rate of dropped weights in training.

    Shapes: x [B T D] -> [B T D]. B batch, T tokens, C chunks, W chunks that one sees.

    Errors:
        SpecError: sizes that don't fit each other, or an input of another width.

    Example:
        >>> import torch
        >>> from blocks import ChunkAttention
        >>> ChunkAttention(64, heads=8, chunk=16)(torch.randn(1, 100, 64)).shape
        torch.Size([1, 100, 64])
    """

    def __init__(
        self,
        dim: int,
        *,
        heads: int,
        chunk: int,
        before: int = 1,
        after: int = 0,
        head_dim: int | None = None,
        bias: bool = False,
        out_bias: bool = False,
        mask: Mask = Causal(),  # frozen
        dropout: float = 0.0,
    ):
        super().__init__()
        check_positive("ChunkAttention", chunk=chunk)
        check_rate("ChunkAttention", dropout=dropout)
        e = check_heads("ChunkAttention", dim, heads, heads, head_dim)
        self.dim, self.heads, self.head_dim, self.dropout = dim, heads, e, dropout
        self.near = NearChunks(chunk, before, after)
        self.mask = mask & self.near
        self.q = nn.Linear(dim, heads * e, bias=bias)
        self.k = nn.Linear(dim, heads * e, bias=bias)
        self.v = nn.Linear(dim, heads * e, bias=bias)
        self.out = nn.Linear(heads * e, dim, bias=out_bias)

    def forward(self, x: Tensor, step: Step | None = None, state: KVState | None = None) -> Tensor:
        check_input(x, self.dim, "ChunkAttention")
        step = Step.plain(x) if step is None else step
        q = self.q(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # B H T E
        k = self.k(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # B H T E
        v = self.v(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # B H T E
        seen = Seen.new(k, v, step) if state is None else state.append(k, v, step)  # B H S E
        packed = step.segments is not None or step.seen is not None
        if seen.place == "step" and x.shape[1] > self.near.size and not packed:
            y = self._by_chunks(q, k, v, step)  # B H T E
        else:
            table, causal = seen.visible(self.mask, step)
            y = attend(q, seen.k, seen.v, seen=table, causal=causal, dropout=self._rate)
        return self.out(y.transpose(1, 2).flatten(2))  # B T D

    def _by_chunks(self, q: Tensor, k: Tensor, v: Tensor, step: Step) -> Tensor:
        size, beside = self.near.size, (self.near.before, self.near.after)
        order, real = None, step.real
        if real is not None:  # chunks are counted in real tokens
            order = step.once("to front", lambda: to_front(real))
            q, k, v = (taken(part, order) for part in (q, k, v))
        key = (ChunkAttention, self.mask, "real")
        seen = step.once(key, lambda: near_table(self.mask, _real(q, step), size, *beside))
        near_k, near_v = spread(k, size, *beside), spread(v, size, *beside)  # B·C H W·L E
        y = attend(cut(q, size), near_k, near_v, seen=seen, dropout=self._rate)  # B·C H L E
        y = joined(y, len(q), q.shape[2])  # B H T E
        return y if order is None else taken(y, order.argsort(1))

    @property
    def _rate(self) -> float:
        return self.dropout if self.training else 0.0

    def init_state(self, batch: int, room: int | None, dtype: torch.dtype, device: Any) -> KVState:
        dims, like = (self.head_dim, self.head_dim), {"dtype": dtype, "device": device}
        return state_for(self.mask, batch, self.heads, room, dims, like)


def _real(q: Tensor, step: Step) -> Tensor:
    """[B T], True for the places that real tokens have once they are at the front."""
    count = q.shape[2] if step.real is None else step.real.sum(1, keepdim=True)
    place = torch.arange(q.shape[2], device=q.device)
    return (place < count).expand(len(q), -1)
