"""Infini-attention: the current segment by softmax, all earlier ones through a matrix."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from blocks.attention.compressive import InfiniState, portions
from blocks.errors import SpecError
from blocks.ops.attend import attend
from blocks.ops.check import check_heads, check_input, check_positive
from blocks.spec import Slot
from blocks.step import Step

__all__ = ["InfiniAttention"]


class InfiniAttention(nn.Module):
    r"""Of the segments before the current one, a matrix M and a vector z a head remain:

        A = softmax(q kᵀ · scale) v within the segment,   A_mem = σ(q) M / σ(q) z,   σ = ELU + 1
        output = W_out [g A_mem + (1 − g) A],   g = sigmoid(gate), 0 in the first segment
        at a segment's end:   M += σ(K)ᵀ V,  or by the delta rule  σ(K)ᵀ (V − σ(K) M / σ(K) z)
                              z += Σ σ(k)

    M holds keys without positions. Munkhdalai, Faruqui and Gopal, "Leave No Context Behind", 2024,
    arXiv:2404.07143.

    Args:
        dim: width D of the input and output.
        heads, kv_heads: query heads H; key/value heads K, a divisor of H, H by default.
        head_dim: width E of a head, D / H by default.
        segment: how many tokens L a segment has.
        update: what is added to M: values, or by `delta` what it doesn't give back already.
        bias, out_bias: biases on the query, key and value projections; one on the output's.
        qk: what happens to queries and keys before the scores within a segment: `RoPE`.
            Sizes (head_dim, heads, kv_heads).
        scale: what scores are multiplied with; 1/√E by default.

    Shapes: x [B T D] -> [B T D]. B batch, T tokens.

    Errors:
        SpecError: sizes that don't fit each other, an input of another width, or several documents
            packed into one row.

    Example:
        >>> import torch
        >>> from blocks import InfiniAttention, State
        >>> infini = InfiniAttention(64, heads=8, kv_heads=2, segment=16)
        >>> state = State.of(infini, 1)
        >>> before = state.nbytes
        >>> state.run(infini, torch.randn(1, 100, 64)).shape, state.nbytes == before
        (torch.Size([1, 100, 64]), True)
    """

    def __init__(
        self,
        dim: int,
        *,
        heads: int,
        segment: int,
        kv_heads: int | None = None,
        head_dim: int | None = None,
        update: Literal["linear", "delta"] = "linear",
        bias: bool = False,
        out_bias: bool = False,
        qk: tuple[Slot, ...] = (),
        scale: float | None = None,
    ):
        super().__init__()
        kv_heads = heads if kv_heads is None else kv_heads
        check_positive("InfiniAttention", segment=segment, scale=scale)
        e = check_heads("InfiniAttention", dim, heads, kv_heads, head_dim)
        self.dim, self.heads, self.kv_heads, self.head_dim = dim, heads, kv_heads, e
        self.segment, self.update, self.scale = segment, update, scale
        self.q = nn.Linear(dim, heads * e, bias=bias)
        self.k = nn.Linear(dim, kv_heads * e, bias=bias)
        self.v = nn.Linear(dim, kv_heads * e, bias=bias)
        self.qk = nn.ModuleList([part(e, heads, kv_heads) for part in qk])
        self.gate = nn.Parameter(torch.zeros(heads))
        self.out = nn.Linear(heads * e, dim, bias=out_bias)

    def forward(
        self, x: Tensor, step: Step | None = None, state: InfiniState | None = None
    ) -> Tensor:
        check_input(x, self.dim, "InfiniAttention")
        step = Step.plain(x) if step is None else step
        if step.segments is not None:
            reason = "one memory can't keep several packed documents apart"
            raise SpecError(reason, field="segments")
        state = self.init_state(len(x), None, x.dtype, x.device) if state is None else state
        plain_q = self.q(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # B H T E
        plain_k = self.k(x).unflatten(-1, (self.kv_heads, -1)).transpose(1, 2)  # B K T E
        v = self.v(x).unflatten(-1, (self.kv_heads, -1)).transpose(1, 2)  # B K T E
        q, k = plain_q, plain_k
        for part in self.qk:
            q, k = part(q, k, step)
        gate = torch.sigmoid(self.gate)[:, None, None]  # H 1 1
        y = torch.zeros_like(q)
        for now in portions(x, step, self.segment, state.room):
            at = now.columns
            keys, values = state.write(k[:, :, at], v[:, :, at], now)  # B K S E
            how: dict[str, Any] = {"seen": now.seen, "causal": now.causal, "scale": self.scale}
            local = attend(q[:, :, at], keys, values, **how)  # B H n E
            share = gate * now.older  # H n 1
            mixed = (share * state.read(plain_q[:, :, at]) + (1 - share) * local).to(y.dtype)
            state.keep(plain_k[:, :, at], v[:, :, at], now, self.update == "delta")
            if now.real is not None:
                mixed = torch.where(now.real[:, None, :, None], mixed, y[:, :, at])
            y[:, :, at] = mixed  # B H n E
        return self.out(y.transpose(1, 2).flatten(2))  # B T D

    def init_state(
        self, batch: int, room: int | None, dtype: torch.dtype, device: Any
    ) -> InfiniState:
        size = self.segment if room is None else min(room, self.segment)
        like = {"dtype": dtype, "device": device}
        return InfiniState.empty(batch, self.kv_heads, size, self.head_dim, like)
