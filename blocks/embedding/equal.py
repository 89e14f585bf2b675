"""Equal patches: one begins every so many tokens."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from blocks.ops.check import check_positive

__all__ = ["EqualPatches"]


class EqualPatches(nn.Module):
    r"""Patches begin at tokens 0, 1, 1 + n, 1 + 2n, …

    The first token is a patch of its own, so that all later patches have a whole one before them.
    Pagnoni et al., "Byte latent transformer", 2024, arXiv:2412.09871, section 2.1.

    Args:
        size: tokens n of a patch.

    Shapes: tokens [B T] int -> bool [B T+1], True where a patch begins; the last says whether the
        token after these will begin one.

    Example:
        >>> import torch
        >>> from blocks import EqualPatches
        >>> EqualPatches(size=3)(torch.zeros(1, 6, dtype=torch.int64)).int()
        tensor([[1, 1, 0, 0, 1, 0, 0]], dtype=torch.int32)
    """

    def __init__(self, *, size: int):
        super().__init__()
        check_positive("EqualPatches", size=size)
        self.size = size

    def forward(self, tokens: Tensor) -> Tensor:
        place = torch.arange(tokens.shape[1] + 1, device=tokens.device)
        begins = ((place - 1) % self.size == 0) | (place == 0)
        return begins.expand(len(tokens), -1)  # B T+1
