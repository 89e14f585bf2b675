"""A rule for heads whose two halves lie in the other order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from blocks.hub.keys import Rule

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Halves(Rule):
    """The halves of every head change places, which turns RoPE the other way round.

    Attributes:
        width: of a head.
    """

    width: int = 2

    def load(self, theirs: Tensor, ours: Sequence[Any]) -> list[Tensor]:
        return [theirs.unflatten(0, (-1, 2, self.width // 2)).flip(1).flatten(0, 2)]

    def save(self, ours: Sequence[Tensor]) -> Tensor:
        return self.load(ours[0], ())[0]
