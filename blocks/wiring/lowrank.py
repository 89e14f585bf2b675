"""LowRank: a block whose matrices have a small one added each."""

from __future__ import annotations

from torch import nn

from blocks.ops.check import check_number, check_positive
from blocks.spec import Slot
from blocks.wiring.added import KINDS, Added
from blocks.wiring.matrices import OfMatrices

__all__ = ["LowRank"]


class _Zero(nn.Linear):
    """Starts at zero, so that the sum starts as what it is added to."""

    def reset_parameters(self) -> None:
        nn.init.zeros_(self.weight)


class LowRank(OfMatrices):
    r"""inner, with W x + scale · B A x for W x in some of its matrices W [out in]

    A [rank in], B [out rank]: Hu et al., "LoRA", 2021, arXiv:2106.09685. B starts at zero. Where
    `ties` make layers share W, each still has its own A and B, as in Zamba2 (Glorioso et al., 2024,
    arXiv:2411.15242). What is added to a model afterwards, and can be saved apart, is a `LoRA`.

    Like a Residual it has no address of its own: W stays where it was, `attention.q.weight`, and
    beside it are `attention.q.a.weight` and `attention.q.b.weight`.

    Args:
        dim: width D.
        vocab: tokens V, where the parent gives them to inner.
        inner: slot of size (dim), or (dim, vocab).
        on: names of matrices in it, such as `("q", "v")`; `"experts.*.up"` is that of all experts,
            and `""` inner itself where it is a matrix.
        rank: width of the small matrices.
        scale: what their product is multiplied with, α / rank in the paper.

    Shapes: what inner takes -> what inner gives.

    Errors:
        SpecError: inner has no matrix of such a name.

    Example:
        >>> import torch
        >>> from blocks import GQAttention, LowRank, Spec
        >>> block = LowRank(8, inner=Spec(GQAttention, heads=2), on=("q", "v"), rank=2)
        >>> block(torch.randn(1, 3, 8)).shape, block.inner.q.a.weight.shape
        (torch.Size([1, 3, 8]), torch.Size([2, 8]))
    """

    def __init__(
        self,
        dim: int,
        vocab: int | None = None,
        *,
        inner: Slot,
        on: tuple[str, ...],
        rank: int,
        scale: float = 1.0,
    ):
        check_positive("LowRank", dim=dim, vocab=vocab, rank=rank)
        check_number("LowRank", scale=scale)
        super().__init__(dim, vocab, inner)
        for place in self.chosen(on):
            out, width = place.shape
            like = {"device": place.device, "dtype": place.dtype}
            a, b = (nn.Linear(width, rank, False, **like), _Zero(rank, out, False, **like))
            kind = KINDS.get(type(place.part), Added)
            place.put(kind(place.part, a, b, scale, by_hand=place.by_hand))
