"""Chunk attention: each chunk of tokens sees itself and its neighbours, in linear time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from blocks.attention.mask import Causal, Mask
from blocks.attention.memory import KVState, recall
from blocks.attention.pieces import Pieces
from blocks.attention.ring import state_for
from blocks.ops.attend import attend
from blocks.ops.check import check_input
from blocks.ops.chunks import near_table, spread
from blocks.step import Step

__all__ = ["ChunkAttention"]


class ChunkAttention(Pieces):
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
        parts = {"head_dim": head_dim, "bias": bias, "out_bias": out_bias, "dropout": dropout}
        near = {"chunk": chunk, "before": before, "after": after}
        super().__init__(dim, heads=heads, mask=mask, **near, **parts)
        self.mask = mask & self.near

    def forward(self, x: Tensor, step: Step | None = None, state: KVState | None = None) -> Tensor:
        check_input(x, self.dim, "ChunkAttention")
        step = Step.plain(x) if step is None else step
        q, k, v = self.projected(x)  # B H T E
        seen = recall("ChunkAttention", state, k, v, step)  # B H S E
        packed = step.segments is not None or step.seen is not None
        if seen.place == "step" and x.shape[1] > self.near.size and not packed:
            y = self.by_chunks(q, k, v, step)  # B H T E
        else:
            table, causal = seen.visible(self.mask, step)
            y = attend(q, seen.k, seen.v, seen=table, causal=causal, dropout=self.rate)
        return self.out(y.transpose(1, 2).flatten(2))  # B T D

    def beside(self, real: Tensor, step: Step) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        size, beside = self.near.size, (self.near.before, self.near.after)
        key = (ChunkAttention, self.mask, "real")
        seen = step.once(key, lambda: near_table(self.mask, real, size, *beside))
        return seen, lambda x: spread(x, size, *beside)

    def init_state(self, batch: int, room: int | None, dtype: torch.dtype, device: Any) -> KVState:
        dims, like = (self.head_dim, self.head_dim), {"dtype": dtype, "device": device}
        return state_for(self.mask, batch, self.heads, room, dims, like)
