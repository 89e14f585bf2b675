"""Attention to inputs that are turned by their place, before any projection."""

from __future__ import annotations

from torch import Tensor, nn

from blocks.attention.mask import Full, Mask
from blocks.attention.seen import Seen
from blocks.ops.attend import attend
from blocks.ops.check import check_heads, check_input, check_rate
from blocks.positions.rope import RoPE
from blocks.step import Step

__all__ = ["TurnedAttention"]


class TurnedAttention(nn.Module):
    r"""Queries and keys are projections of the input turned by RoPE, values of the input itself:

        q, k = W_q R_t x, W_k R_t x,      v = W_v x,      output = W_out softmax(q kᵀ / √E) v

    R_t turns the channels of each head by the angles of place t. The rotary Conformer of fairseq
    (Ott et al., 2019, arXiv:1904.01038), after Su et al., "RoFormer", 2021, arXiv:2104.09864.

    Args:
        dim: width D of the input and output.
        heads: heads H, of width E = D / H.
        theta: base of the rotary frequencies.
        bias: biases on all projections.
        mask: which keys a query may see.
        dropout: rate of dropped weights in training.

    Shapes: x [B T D] -> [B T D].

    Errors:
        SpecError: sizes that don't fit each other, or an input of another width.

    Example:
        >>> import torch
        >>> from blocks import TurnedAttention
        >>> TurnedAttention(64, heads=8)(torch.randn(1, 5, 64)).shape
        torch.Size([1, 5, 64])
    """

    def __init__(
        self,
        dim: int,
        *,
        heads: int,
        theta: float = 10_000.0,
        bias: bool = True,
        mask: Mask = Full(),  # frozen
        dropout: float = 0.0,
    ):
        super().__init__()
        check_rate("TurnedAttention", dropout=dropout)
        e = check_heads("TurnedAttention", dim, heads, heads, None)
        self.dim, self.heads, self.mask, self.dropout = dim, heads, mask, dropout
        self.rope = RoPE(e, heads, heads, theta=theta)
        self.q, self.k, self.v, self.out = (nn.Linear(dim, dim, bias=bias) for _ in range(4))

    def forward(self, x: Tensor, step: Step | None = None) -> Tensor:
        check_input(x, self.dim, "TurnedAttention")
        step = Step.plain(x) if step is None else step
        apart = self._heads(x)  # B H T E
        turned = self.rope(apart, apart, step)[0].transpose(1, 2).flatten(2)  # B T D
        q, k, v = (self._heads(part) for part in (self.q(turned), self.k(turned), self.v(x)))
        table, causal = Seen.new(k, v, step).visible(self.mask, step)
        dropout = self.dropout if self.training else 0.0
        y = attend(q, k, v, seen=table, causal=causal, dropout=dropout)  # B H T E
        return self.out(y.transpose(1, 2).flatten(2))  # B T D

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # B H T E
