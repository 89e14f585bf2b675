"""Relative attention: scores know how far a key is from its query, not where either is."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from blocks.attention.mask import Causal, Mask, Window
from blocks.attention.past import Past
from blocks.attention.seen import Seen, types_of
from blocks.errors import SpecError
from blocks.ops.attend import attend
from blocks.ops.check import check_heads, check_input, check_positive, check_rate
from blocks.ops.watch import noted
from blocks.positions.sinusoidal import sinusoid
from blocks.spec import Slot
from blocks.step import Step

__all__ = ["RelativeAttention"]


class RelativeAttention(nn.Module):
    r"""The query at t scores the key at s by its content and by its distance, in each head:

        a_ts = ((q_t + u) k_s + (q_t + v) W_R r(t − s)) / √E,      r(d) sines and cosines of d
        output = W_out softmax(a) W_V [memory, x]

    With `Causal()` and a memory: Dai et al., "Transformer-XL", 2019, arXiv:1901.02860. With
    `Full()` distances have a sign: Gulati et al., "Conformer", 2020, arXiv:2005.08100.

    Args:
        dim: width D of the input and output, even.
        heads, head_dim: heads H; their width E, D / H by default.
        bias: biases on the projections of queries, keys, values and the output.
        layout: of r: sine and cosine of a wave side by side, or all sines first.
        clamp: a distance beyond it, either way, counts as it.
        memory: how many tokens of earlier calls are remembered; None is all. No gradient passes.
        filled: as many zeros lie before the first token, and are seen.
        norm_in: norm of all that is read, the memory too. Slot of size (dim).
        relation: what scores gain in pairs of texts: `TypeRelation`. Sizes (head_dim, heads).
        mask: which keys a query may see; `Causal()` sees the whole memory.
        dropout: rate of dropped weights in training.

    Shapes: x [B T D] -> [B T D]. B batch, T tokens, S tokens and memory, L distances.

    Errors:
        SpecError: sizes that don't fit, another width, or packed documents beside a memory.

    Example:
        >>> import torch
        >>> from blocks import Full, RelativeAttention
        >>> RelativeAttention(64, heads=8, mask=Full())(torch.randn(1, 5, 64)).shape
        torch.Size([1, 5, 64])
    """

    def __init__(
        self,
        dim: int,
        *,
        heads: int,
        head_dim: int | None = None,
        bias: bool = False,
        layout: Literal["interleaved", "halves"] = "halves",
        clamp: int | None = None,
        memory: int | None = None,
        filled: bool = False,
        norm_in: Slot | None = None,
        relation: Slot | None = None,
        mask: Mask = Causal(),  # frozen
        dropout: float = 0.0,
    ):
        super().__init__()
        check_positive("RelativeAttention", clamp=clamp, memory=memory)
        check_rate("RelativeAttention", dropout=dropout)
        e = check_heads("RelativeAttention", dim, heads, heads, head_dim)
        if dim % 2 or (filled and memory is None):
            wrong, field = (f"{dim} is odd", "dim") if dim % 2 else ("None isn't filled", "memory")
            raise SpecError(wrong, field=f"RelativeAttention.{field}")
        self.dim, self.heads, self.layout, self.clamp = dim, heads, layout, clamp
        self.memory, self.filled, self.mask, self.dropout = memory, filled, mask, dropout
        self.norm_in = norm_in(dim) if norm_in else None
        self.relation = relation(e, heads) if relation else None
        self.q, self.k, self.v = (nn.Linear(dim, heads * e, bias=bias) for _ in range(3))
        self.position = nn.Linear(dim, heads * e, bias=False)
        self.content_bias, self.position_bias = (nn.Parameter(torch.zeros(heads, e)) for _ in "uv")
        self.out = nn.Linear(heads * e, dim, bias=bias)

    def forward(self, x: Tensor, step: Step | None = None, state: Past | None = None) -> Tensor:
        check_input(x, self.dim, "RelativeAttention")
        step, tokens = Step.plain(x) if step is None else step, x.shape[1]
        if state is None and self.filled:
            state = self.init_state(len(x), None, x.dtype, x.device)
        x, at, real, name = state.join(x, step) if state else (x, step.positions, step.real, "step")
        x = x if self.norm_in is None else self.norm_in(x)
        q, k, v = (self._heads(part) for part in (self.q(x[:, -tokens:]), self.k(x), self.v(x)))
        q, k, v = noted(q=q, k=k, v=v)  # without the biases, B H T|S E
        table, causal = Seen(k, v, at, real, name, real is None).visible(self.mask, step)
        more = self._by_distance(q + self.position_bias[:, None], at, step)  # B H T S
        more = more + self.relation(q, *types_of(step, at.shape[1])) if self.relation else more
        how = {"seen": table, "causal": causal, "dropout": self.dropout * self.training}
        y = attend(q + self.content_bias[:, None], k, v, bias=more / q.shape[-1] ** 0.5, **how)
        return self.out(y.transpose(1, 2).flatten(2))  # B T D

    def _by_distance(self, q: Tensor, places: Tensor, step: Step) -> Tensor:
        most = min(self.clamp or places.shape[1], places.shape[1] - 1)
        least = 0 if isinstance(self.mask, Causal | Window) else -min(most, q.shape[2] - 1)
        key = (RelativeAttention, self.dim, self.layout, least, most, q.dtype)
        d = torch.arange(least, most + 1, device=q.device)  # L
        r = step.once(key, lambda: sinusoid(d, self.dim, self.layout).to(q.dtype))  # L D
        scores = q @ self._heads(self.position(r)[None]).transpose(-1, -2)  # B H T L
        at = (step.positions[:, :, None] - places[:, None]).clamp(least, most) - least  # B T S
        return scores.gather(-1, at[:, None].expand(*q.shape[:3], -1))  # B H T S

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # B H T E

    def init_state(self, batch: int, room: int | None, dtype: torch.dtype, device: Any) -> Past:
        return Past.empty(batch, self.dim, self.memory, self.filled, dtype=dtype, device=device)
