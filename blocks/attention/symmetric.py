"""Symmetric window: a token sees its neighbours on both sides."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from blocks.attention.mask import Mask

__all__ = ["SymmetricWindow"]


@dataclass(frozen=True)
class SymmetricWindow(Mask):
    """A token sees what is at most `radius` tokens away, on either side: |k − q| ≤ radius.

    Beltagy et al., "Longformer", 2020, arXiv:2004.05150.

    Example:
        >>> import blocks, torch
        >>> blocks.SymmetricWindow(1)(torch.tensor(2), torch.arange(5))
        tensor([False,  True,  True,  True, False])
    """

    radius: int

    def __call__(self, q: Tensor, k: Tensor) -> Tensor:
        return (q - k).abs() <= self.radius
