"""DoRA: an adapter that learns the lengths of a matrix's rows apart from their directions."""

from __future__ import annotations

from blocks.errors import SpecError
from blocks.wiring.added import Added, AddedRows
from blocks.wiring.lora import LoRA

__all__ = ["DoRA"]


class DoRA(LoRA):
    r"""inner, with m_o (W x + scale · B A x)_o / ‖(W + scale · B A)_o‖ for (W x)_o

    Each row of the matrix has a length m_o of its own, which starts as that of W's: Liu et al.,
    "DoRA", 2024, arXiv:2402.09353. As the paper proposes, gradients take the norm as given. All
    else is as in `LoRA`.

    Args:
        dim: width D.
        vocab: tokens V, where the parent gives them to inner.
        inner: slot of size (dim), or (dim, vocab).
        on: names of matrices in it, as in `LoRA`.
        rank: width of the small matrices.
        scale: what their product is multiplied with.
        dropout: rate at which channels are dropped before A, in training.

    Shapes: what inner takes -> what inner gives.

    Errors:
        SpecError: inner has no matrix of such a name, or it is a table of tokens.

    Example:
        >>> import torch
        >>> from blocks import DoRA, GatedMLP, Spec
        >>> block = DoRA(8, inner=Spec(GatedMLP, hidden=12), on=("up",), rank=2)
        >>> block(torch.randn(1, 3, 8)).shape, block.inner.up.magnitude.shape
        (torch.Size([1, 3, 8]), torch.Size([12]))
    """

    def _lengthen(self, added: Added) -> None:
        if isinstance(added, AddedRows):
            reason = "the rows of a table of tokens have no lengths to be learnt"
            raise SpecError(reason, field="DoRA.on", hint="a LoRA can be there")
        added.lengthen()
