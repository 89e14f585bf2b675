"""What a twin is told of one sequence beside its inputs. Nothing here knows the library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import Tensor


@dataclass(frozen=True)
class Facts:
    """Of the T tokens of one sequence, which has no padding.

    Attributes:
        positions: of each token.
        memory: [M D], the real places of the other sequence.
        looks: [T M], which places of it a token may look at; None where at all.
        seen: [T T], which tokens another may look at; None where the masks alone say.
        types: of each token; None where all are 0.
        marked: which tokens see all and are seen by all; None where none is.
        condition: what else steers the layer.
        saved: what was laid down before, by name: [T …] each.
    """

    positions: Sequence[int]
    memory: Tensor | None = None
    looks: Tensor | None = None
    seen: Tensor | None = None
    types: Sequence[int] | None = None
    marked: Sequence[bool] | None = None
    condition: Tensor | None = None
    saved: dict[str, Tensor] = field(default_factory=dict)

    @property
    def length(self) -> int:
        """How long the sequence is so far."""
        return max(self.positions) + 1
