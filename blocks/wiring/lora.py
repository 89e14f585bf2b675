"""LoRA: an adapter, a block whose matrices have a small one added that is learnt alone."""

from __future__ import annotations

from torch import nn

from blocks.ops.check import check_number, check_positive, check_rate
from blocks.spec import Slot
from blocks.wiring.added import KINDS, Added, Small
from blocks.wiring.matrices import OfMatrices

__all__ = ["LoRA"]


class LoRA(OfMatrices):
    r"""inner, with W x + scale · B A drop(x) for W x in some of its matrices W [out in]

    A [rank in], B [out rank]: Hu et al., "LoRA", 2021, arXiv:2106.09685. B starts at zero. scale is
    α / rank in the paper, and α / √rank in rsLoRA (Kalajdzievski, 2023, arXiv:2312.03732). Of a
    table of tokens W [vocab dim], rows of B are looked up.

    As a `LowRank` it leaves W where it was. `add_adapter` puts it into a whole model,
    `load_adapter` and `save_adapter` exchange it with other tools, `merge_adapter` makes plain
    matrices of the sums. `optimize` packs W and leaves A and B.

    Args:
        dim: width D.
        vocab: tokens V, where the parent gives them to inner.
        inner: slot of size (dim), or (dim, vocab).
        on: names of matrices in it, such as `("q", "v")`; `"experts.*.up"` is that of all experts,
            and `""` inner itself where it is a matrix, a head or a table.
        rank: width of the small matrices.
        scale: what their product is multiplied with.
        dropout: rate at which channels are dropped before A, in training.

    Shapes: what inner takes -> what inner gives.

    Errors:
        SpecError: inner has no matrix of such a name.

    Example:
        >>> import torch
        >>> from blocks import GQAttention, LoRA, Spec
        >>> block = LoRA(8, inner=Spec(GQAttention, heads=2), on=("q", "v"), rank=2)
        >>> block(torch.randn(1, 3, 8)).shape, block.inner.q.b.weight.shape
        (torch.Size([1, 3, 8]), torch.Size([8, 2]))
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
        dropout: float = 0.0,
    ):
        check_positive("LoRA", dim=dim, vocab=vocab, rank=rank)
        check_number("LoRA", scale=scale)
        check_rate("LoRA", dropout=dropout)
        super().__init__(dim, vocab, inner)
        for place in self.chosen(on):
            out, width = place.shape
            like = {"device": place.device, "dtype": place.dtype}
            a, b = Small(width, rank, False, **like), Small(rank, out, False, **like)
            nn.init.zeros_(b.weight)
            kind = KINDS.get(type(place.part), Added)
            added = kind(place.part, a, b, scale, dropout, place.by_hand)
            self._lengthen(added)
            place.put(added)

    def _lengthen(self, added: Added) -> None:
        """What else is learnt of a matrix."""
