"""Factored: a block whose matrices are products of two smaller ones."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from blocks.errors import SpecError
from blocks.ops.check import check_positive
from blocks.spec import Slot
from blocks.wiring.linear import Linear
from blocks.wiring.matrices import OfMatrices

__all__ = ["Factored"]


class Product(nn.Module):
    """y = B A x + b"""

    source = True

    def __init__(self, a: nn.Linear, b: nn.Linear):
        super().__init__()
        self.a, self.b = a, b

    def forward(self, x: Tensor) -> Tensor:
        return self.b(self.a(x))

    @property
    def weight(self) -> Tensor:
        """B A, [out in]."""
        return self.b.weight @ self.a.weight

    @property
    def bias(self) -> Tensor | None:
        return self.b.bias


class Factored(OfMatrices):
    r"""inner, with B A x + b for W x + b in some of its matrices W [out in]

    A [rank in], B [out rank] take (in + out) · rank numbers instead of in · out. `factorise` finds
    those that are nearest to the matrices of a model. Denil et al., "Predicting Parameters in Deep
    Learning", 2013, arXiv:1306.0543; of detectors, Girshick, "Fast R-CNN", 2015, arXiv:1504.08083.

    Like a Residual it has no address of its own: `mlp.up` has `mlp.up.a.weight`, `mlp.up.b.weight`
    and `mlp.up.b.bias`.

    Args:
        dim: width D.
        vocab: tokens V, where the parent gives them to inner.
        inner: slot of size (dim), or (dim, vocab).
        rank: by the names of matrices in it, such as `{"up": 8}`; `"experts.*.up"` is that of all
            experts.

    Shapes: what inner takes -> what inner gives.

    Errors:
        SpecError: inner has no matrix of such a name.

    Example:
        >>> import torch
        >>> from blocks import Factored, GatedMLP, Spec
        >>> block = Factored(8, inner=Spec(GatedMLP, hidden=12), rank={"gate": 2, "up": 3})
        >>> block(torch.randn(1, 3, 8)).shape, block.inner.up.a.weight.shape
        (torch.Size([1, 3, 8]), torch.Size([3, 8]))
    """

    def __init__(self, dim: int, vocab: int | None = None, *, inner: Slot, rank: Mapping[str, int]):
        check_positive("Factored", dim=dim, vocab=vocab)
        super().__init__(dim, vocab, inner)
        for pattern, width in rank.items():
            check_positive("Factored", rank=width)
            for place in self.chosen((pattern,)):
                part = place.part
                if type(part) not in (nn.Linear, Linear):
                    reason = f"{pattern!r} is a {type(part).__name__}, which can't be factored"
                    raise SpecError(reason, field="Factored.rank")
                out, inward = place.shape
                like = {"device": place.device, "dtype": place.dtype}
                a = nn.Linear(inward, width, bias=False, **like)
                b = nn.Linear(width, out, bias=part.bias is not None, **like)
                place.put(Product(a, b))
