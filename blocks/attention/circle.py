"""Circle attention: chunks of tokens see their neighbours, the first of them the last."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from blocks.attention.mask import Full, Mask
from blocks.attention.pieces import Pieces
from blocks.attention.seen import Seen
from blocks.errors import SpecError
from blocks.ops.attend import attend
from blocks.ops.check import check_input, check_positive
from blocks.ops.circle import Circle
from blocks.step import Step

__all__ = ["CircleAttention"]


class CircleAttention(Pieces):
    r"""y_t = Σ_s softmax_s(q_t k_sᵀ / √E) v_s,     s in chunks c_t − before … c_t + after mod C

    The local layers of Reformer's encoders, in time that grows with T · chunk: a `ChunkAttention`
    whose C chunks lie in a circle. Kitaev et al., 2020, arXiv:2001.04451. Up to `chunk` tokens
    all see all. It takes no state: later tokens change what earlier ones see.

    Args:
        dim: width D of the input and output.
        heads: heads H.
        head_dim: width E of a head, D / H by default.
        chunk: tokens L of a chunk.
        before, after: how many chunks on either side a chunk sees beside itself.
        multiple: a row's chunks are of so many tokens or a multiple; those that are padding alone
            lie in the circle too. None is `chunk`.
        bias, out_bias: biases on the query, key and value projections; one on the output's.
        mask: which of these keys a query sees.
        dropout: rate of dropped weights in training.

    Shapes: [B T D] -> [B T D]. B batch, T tokens, C chunks, W chunks that one sees.

    Errors:
        SpecError: sizes that don't fit, an input of another width, or packed documents.

    Example:
        >>> import torch
        >>> from blocks import CircleAttention
        >>> CircleAttention(64, heads=8, chunk=16)(torch.randn(1, 100, 64)).shape
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
        multiple: int | None = None,
        head_dim: int | None = None,
        bias: bool = False,
        out_bias: bool = False,
        mask: Mask = Full(),  # frozen
        dropout: float = 0.0,
    ):
        parts = {"head_dim": head_dim, "bias": bias, "out_bias": out_bias, "dropout": dropout}
        near = {"chunk": chunk, "before": before, "after": after}
        super().__init__(dim, heads=heads, mask=mask, **near, **parts)
        check_positive("CircleAttention", multiple=multiple)
        self.multiple = chunk if multiple is None else multiple
        if self.multiple % chunk:
            reason = f"{multiple} is no multiple of the chunk of {chunk}"
            raise SpecError(reason, field="CircleAttention.multiple")

    def forward(self, x: Tensor, step: Step | None = None) -> Tensor:
        check_input(x, self.dim, "CircleAttention")
        step = Step.plain(x) if step is None else step
        if step.segments is not None or step.seen is not None:
            raise SpecError("packed documents would share a circle", field="segments")
        q, k, v = self.projected(x)  # B H T E
        if x.shape[1] > self.near.size:
            y = self.by_chunks(q, k, v, step)  # B H T E
        else:
            seen, causal = Seen.new(k, v, step).visible(self.mask, step)
            y = attend(q, k, v, seen=seen, causal=causal, dropout=self.rate)
        return self.out(y.transpose(1, 2).flatten(2))  # B T D

    def beside(self, real: Tensor, step: Step) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        sizes = (self.near.size, self.multiple, (self.near.before, self.near.after))
        circle = step.once((CircleAttention, sizes), lambda: Circle.of(real, *sizes))
        key = (CircleAttention, sizes, self.mask)
        return step.once(key, lambda: circle.table(self.mask, real)), circle.windows
