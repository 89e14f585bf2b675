"""The rule of a matrix that a file holds as a convolution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from blocks.hub.keys import Rule, Shape

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Pointwise"]


@dataclass(frozen=True)
class Pointwise(Rule):
    """A matrix stored as a convolution of one place: [out, in, 1] where ours is [out, in]."""

    def shape(self, ours: Sequence[Shape]) -> Shape:
        return (*ours[0], 1)

    def load(self, theirs: Tensor, ours: Sequence[Shape]) -> list[Tensor]:
        return [theirs.squeeze(-1)]

    def save(self, ours: Sequence[Tensor]) -> Tensor:
        return ours[0].unsqueeze(-1)
