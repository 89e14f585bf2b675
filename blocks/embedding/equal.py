"""Equal patches: one begins every so many tokens."""

from __future__ import annotations

from torch import Tensor, nn

from blocks.ops.check import check_positive
from blocks.step import Step

__all__ = ["EqualPatches"]


class EqualPatches(nn.Module):
    r"""Patches end with tokens 0, n, 2n, …

    The first token is a patch of its own, so that all later patches have a whole one before them.
    Pagnoni et al., "Byte latent transformer", 2024, arXiv:2412.09871, section 2.1.

    Args:
        size: tokens n of a patch.

    Shapes: tokens [B T] int -> bool [B T], True where a patch ends with a token.

    Example:
        >>> import torch
        >>> from blocks import EqualPatches
        >>> EqualPatches(size=3)(torch.zeros(1, 6, dtype=torch.int64)).int()
        tensor([[1, 0, 0, 1, 0, 0]], dtype=torch.int32)
    """

    def __init__(self, *, size: int):
        super().__init__()
        check_positive("EqualPatches", size=size)
        self.size = size

    def forward(self, tokens: Tensor, step: Step | None = None) -> Tensor:
        positions = (Step.plain(tokens) if step is None else step).positions
        return (positions % self.size == 0).expand_as(tokens)  # B T
