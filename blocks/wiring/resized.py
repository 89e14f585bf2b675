"""Resized: a part of another width than the one that its place has."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from blocks.ops.check import check_positive
from blocks.ops.wants import call, wants
from blocks.spec import Slot
from blocks.state import content_of
from blocks.step import Step

__all__ = ["Resized"]


class Resized(nn.Module):
    r"""y = inner(x), where inner is made for a width that its parent doesn't know

    A parent gives all its parts the width D of the activations between layers. A part behind one
    whose output is wider or narrower, such as a `Maxout` or a recurrent layer with `hidden`, is
    made for that width.

    Like a Residual it has no address of its own.

    Args:
        dim: the parent's width D, which inner never sees.
        vocab: the parent's tokens V, where it gives them to this part.
        inner: slot of size (width), or (width, vocab).
        width: the width it is made for.

    Shapes: [B T width] -> what inner gives.

    Example:
        >>> import torch
        >>> from blocks import LMHead, Resized
        >>> head = Resized(8, 100, inner=LMHead, width=12)
        >>> head(torch.randn(1, 3, 12)).shape
        torch.Size([1, 3, 100])
    """

    transparent = "inner"

    def __init__(self, dim: int, vocab: int | None = None, *, inner: Slot, width: int):
        super().__init__()
        check_positive("Resized", dim=dim, vocab=vocab, width=width)
        self.inner = inner(width) if vocab is None else inner(width, vocab)
        self._wants = wants(self.inner)

    def forward(self, x: Tensor, step: Step | None = None, state: Any = None) -> Tensor:
        return call(self.inner, x, step, state, self._wants)

    def init_state(self, batch: int, room: int | None, dtype: torch.dtype, device: Any) -> Any:
        return content_of(self.inner, batch, room, dtype, device)
