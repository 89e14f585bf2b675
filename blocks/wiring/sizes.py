"""A part of another width than the one that its place has."""

from __future__ import annotations

from torch import nn

from blocks.ops.check import check_positive
from blocks.spec import Slot

__all__ = ["resized"]


def resized(dim: int, *others: int, inner: Slot, width: int) -> nn.Module:
    """The block that `inner` makes for a width that its parent doesn't know.

    A parent gives all its parts the width D of the activations between layers. A part behind one
    whose output is wider or narrower, such as a `Maxout` or a recurrent layer with `hidden`, is
    made for that width. It has no address of its own.

    Args:
        dim: the parent's width, which is not used.
        others: the parent's other sizes, which are handed on.
        inner: slot of sizes (width, *others).
        width: the width it is made for.

    Errors:
        SpecError: a width below 1.

    Example:
        >>> from blocks import LMHead, Spec, resized
        >>> Spec(resized, inner=Spec(LMHead), width=12)(8, 100).weight.shape
        torch.Size([100, 12])
    """
    check_positive("resized", width=width)
    return inner(width, *others)


resized.transparent = "inner"  # pyright: ignore[reportFunctionMemberAccess]  # as of classes
