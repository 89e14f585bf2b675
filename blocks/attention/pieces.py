"""What attentions by chunks share: projections, and the way of each chunk to those it sees."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from blocks.attention.mask import Mask
from blocks.attention.near import NearChunks
from blocks.ops.attend import attend
from blocks.ops.check import check_heads, check_positive, check_rate
from blocks.ops.chunks import cut, joined, taken, to_front
from blocks.ops.watch import noted, through
from blocks.step import Step

__all__: list[str] = []


class Pieces(nn.Module):
    """Attention whose tokens see the chunks beside their own; which these are a subclass says."""

    def __init__(
        self,
        dim: int,
        *,
        heads: int,
        chunk: int,
        before: int,
        after: int,
        head_dim: int | None,
        bias: bool,
        out_bias: bool,
        mask: Mask,
        dropout: float,
    ):
        super().__init__()
        name = type(self).__name__
        check_positive(name, chunk=chunk)
        check_rate(name, dropout=dropout)
        e = check_heads(name, dim, heads, heads, head_dim)
        self.dim, self.heads, self.head_dim, self.dropout = dim, heads, e, dropout
        self.near, self.mask = NearChunks(chunk, before, after), mask
        self.q = nn.Linear(dim, heads * e, bias=bias)
        self.k = nn.Linear(dim, heads * e, bias=bias)
        self.v = nn.Linear(dim, heads * e, bias=bias)
        self.out = nn.Linear(heads * e, dim, bias=out_bias)

    def beside(self, real: Tensor, step: Step) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """What is seen of a chunk's window [B·C 1 L W·L], and what makes windows of keys."""
        raise TypeError(f"{type(self).__name__} has to say which chunks one sees")

    def projected(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values [B H T E]."""
        q = self.q(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # B H T E
        k = self.k(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # B H T E
        v = self.v(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # B H T E
        return q, k, v

    def by_chunks(self, q: Tensor, k: Tensor, v: Tensor, step: Step) -> Tensor:
        """What the tokens of each chunk see: [B H T E]."""
        q, k, v = noted(q=q, k=k, v=v)
        return through(lambda v: self._mixed(q, k, v, step), v)

    def _mixed(self, q: Tensor, k: Tensor, v: Tensor, step: Step) -> Tensor:
        order, real = None, step.real
        if real is not None:  # chunks are counted in real tokens
            order = step.once("to front", lambda: to_front(real))
            q, k, v = (taken(part, order) for part in (q, k, v))
        seen, windows = self.beside(_real(q, step), step)
        size, near = self.near.size, (windows(part) for part in (k, v))  # B·C H W·L E
        y = attend(cut(q, size), *near, seen=seen, dropout=self.rate)  # B·C H L E
        y = joined(y, len(q), q.shape[2])  # B H T E
        return y if order is None else taken(y, order.argsort(1))

    @property
    def rate(self) -> float:
        """The rate at which weights are dropped now."""
        return self.dropout if self.training else 0.0


def _real(q: Tensor, step: Step) -> Tensor:
    """[B T], True for the places that real tokens have once they are at the front."""
    count = q.shape[2] if step.real is None else step.real.sum(1, keepdim=True)
    place = torch.arange(q.shape[2], device=q.device)
    return (place < count).expand(len(q), -1)
