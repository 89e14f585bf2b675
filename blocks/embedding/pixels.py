"""Patch embedding: squares of an image as vectors."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blocks.ops.check import check_positive, check_width

__all__ = ["PatchEmbedding"]


class PatchEmbedding(nn.Module):
    r"""y_n = W patch_n + b

    Dosovitskiy et al., "An image is worth 16x16 words", 2020, arXiv:2010.11929; without an encoder
    behind it Bavishi et al., "Fuyu-8B", 2023.

    Args:
        dim: width D.
        patch: side P of a patch in pixels.
        channels: of a pixel, C.
        bias: whether there is a bias.

    Shapes: patches [... P·P·C], pixel by pixel in rows with a pixel's channels side by side
        -> [... D].

    Errors:
        SpecError: patches of another size.

    Example:
        >>> import torch
        >>> from blocks import PatchEmbedding
        >>> PatchEmbedding(8, patch=4)(torch.randn(2, 9, 48)).shape
        torch.Size([2, 9, 8])
    """

    def __init__(self, dim: int, *, patch: int, channels: int = 3, bias: bool = True):
        super().__init__()
        check_positive("PatchEmbedding", dim=dim, patch=patch, channels=channels)
        self.values = patch * patch * channels
        self.weight = nn.Parameter(torch.empty(dim, self.values))
        self.bias = nn.Parameter(torch.empty(dim)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.normal_(self.weight, std=self.values**-0.5)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, patches: Tensor) -> Tensor:
        check_width(patches, self.values, "PatchEmbedding")
        return F.linear(patches.to(self.weight.dtype), self.weight, self.bias)  # ... D
