"""Longformer attention: a window around each token, and a few tokens that see all."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from blocks.attention.arranged import Arranged
from blocks.attention.symmetric import SymmetricWindow
from blocks.errors import SpecError
from blocks.ops.attend import attend
from blocks.ops.check import check_heads, check_input, check_positive, check_rate
from blocks.ops.chunks import cut, joined, spread, taken
from blocks.ops.watch import unseen, wanted
from blocks.step import Step

__all__ = ["LongformerAttention"]


class LongformerAttention(nn.Module):
    r"""y_t = Σ_s softmax_s(q_t k_sᵀ / √E) v_s,     |s − t| ≤ radius, or s is a global token

    A global token t sees all, through projections of its own: softmax(qᵍ_t kᵍ_sᵀ / √E) vᵍ_s.
    Time and memory grow with T · (radius + global tokens). `Step.global_mask` says which tokens
    are global, for all layers at once. Beltagy et al., "Longformer", 2020, arXiv:2004.05150.

    Args:
        dim: width D of the input and output.
        heads: heads H.
        radius: how many tokens on either side a token sees.
        head_dim: width E of a head, D / H by default.
        bias, out_bias: biases on the query, key and value projections; one on the output's.
        dropout: rate of dropped weights in training.

    Shapes: x [B T D] -> [B T D]. B batch, T tokens, G global tokens, C chunks of L tokens.

    Errors:
        SpecError: sizes that don't fit each other, an input of another width, or packed documents.

    Example:
        >>> import torch
        >>> from blocks import LongformerAttention, Step
        >>> attention, x = LongformerAttention(64, heads=8, radius=16), torch.randn(1, 100, 64)
        >>> first = torch.arange(100)[None] == 0
        >>> attention(x, Step(torch.arange(100)[None], global_mask=first)).shape
        torch.Size([1, 100, 64])
    """

    def __init__(
        self,
        dim: int,
        *,
        heads: int,
        radius: int,
        head_dim: int | None = None,
        bias: bool = False,
        out_bias: bool = False,
        dropout: float = 0.0,
    ):
        super().__init__()
        check_positive("LongformerAttention", radius=radius)
        check_rate("LongformerAttention", dropout=dropout)
        e = check_heads("LongformerAttention", dim, heads, heads, head_dim)
        self.dim, self.heads, self.head_dim, self.dropout = dim, heads, e, dropout
        self.radius, self.mask = radius, SymmetricWindow(radius)
        self.q = nn.Linear(dim, heads * e, bias=bias)
        self.k = nn.Linear(dim, heads * e, bias=bias)
        self.v = nn.Linear(dim, heads * e, bias=bias)
        self.q_global = nn.Linear(dim, heads * e, bias=bias)
        self.k_global = nn.Linear(dim, heads * e, bias=bias)
        self.v_global = nn.Linear(dim, heads * e, bias=bias)
        self.out = nn.Linear(heads * e, dim, bias=out_bias)

    def forward(self, x: Tensor, step: Step | None = None) -> Tensor:
        check_input(x, self.dim, "LongformerAttention")
        step = Step.plain(x) if step is None else step
        if step.segments is not None or step.seen is not None:
            raise SpecError("a window knows no packed documents", field="segments")
        it = step.once((LongformerAttention, "global_mask", "real"), lambda: Arranged.of(x, step))
        x = it.forth(x)  # B T D
        parts = {"q": self.q, "k": self.k, "v": self.v}
        q, k, v = it.noted(**{name: self._heads(part, x) for name, part in parts.items()})

        def mix(v: Tensor, far: Tensor) -> Tensor:
            return self._far(self._near(q, k, v, it, step), x, far, it)

        if wanted("pattern"):
            it.noted(pattern=unseen(mix, *[it.unit(v)] * 2))
        y = unseen(mix, v, self._heads(self.v_global, x) if it.chosen.shape[1] else v)
        return self.out(it.back(y.transpose(1, 2).flatten(2)))  # B T D

    def _near(self, q: Tensor, k: Tensor, v: Tensor, it: Arranged, step: Step) -> Tensor:
        tokens = q.shape[2]
        size, beside = min(self.radius, tokens), int(tokens > self.radius)
        chunks = (size, beside, beside)
        key = (LongformerAttention, self.mask, "global_mask", "real")
        seen = step.once(key, lambda: it.table(self.mask, chunks))  # B·C 1 L G+W·L
        far = (taken(part, it.chosen).repeat_interleave(-(-tokens // size), 0) for part in (k, v))
        near = (spread(part, *chunks) for part in (k, v))  # B·C H W·L E
        k, v = (torch.cat(pair, 2) for pair in zip(far, near, strict=True))  # B·C H G+W·L E
        y = attend(cut(q, size), k, v, seen=seen, dropout=self._rate)  # B·C H L E
        return joined(y, len(q), tokens)

    def _far(self, y: Tensor, x: Tensor, v: Tensor, it: Arranged) -> Tensor:
        """Puts what the global tokens see in place of their windows."""
        if not it.chosen.shape[1]:
            return y
        q = self._heads(self.q_global, x.gather(1, it.chosen[..., None].expand(-1, -1, x.shape[2])))
        far = attend(
            q, self._heads(self.k_global, x), v, seen=it.real[:, None, None], dropout=self._rate
        )  # B H G E
        far = torch.where(it.there[:, None, :, None], far, taken(y, it.chosen))
        return y.scatter(2, it.chosen[:, None, :, None].expand_as(far), far)

    def _heads(self, part: nn.Linear, x: Tensor) -> Tensor:
        return part(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)

    @property
    def _rate(self) -> float:
        return self.dropout if self.training else 0.0
