"""What cross-attention remembers: the keys and values of the other sequence, computed once."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from blocks.state import Content

__all__ = ["CrossState"]


@dataclass
class CrossState(Content):
    """Keys and values [B K M E] of a memory of M places, None until the first step has read it.

    Later steps need the memory no more; rows that are selected take theirs along. Forgetting the
    newest tokens leaves it as it is: they are the own sequence's.
    """

    k: Tensor | None = None
    v: Tensor | None = None
    real: Tensor | None = None
    trims = True
