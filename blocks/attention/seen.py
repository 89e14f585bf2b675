"""What the queries of one step may look at."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from blocks.attention.mask import Causal, Full, Mask, Window
from blocks.ops.table import Places, Rule, Table
from blocks.step import Step

__all__ = ["Seen"]


@dataclass
class Seen:
    """The keys and values that a step's queries look at, and where they stand.

    Attributes:
        k: [B K S E].
        v: [B K S E].
        positions: [B S] or [1 S].
        real: [B S], False where there is nothing to see; None where all is real.
        place: what the positions are, as a value: layers with the same place share masks.
        even: no padding, and no key lies after the last query.
        last: [B] or [1], of one query: the slots behind this one are empty, whatever `real` says.
    """

    k: Tensor
    v: Tensor
    positions: Tensor
    real: Tensor | None
    place: Hashable
    even: bool
    last: Tensor | None = None

    @classmethod
    def new(cls, k: Tensor, v: Tensor, step: Step) -> Seen:
        """Only this step's own tokens."""
        return cls(k, v, step.positions, step.real, "step", step.real is None)

    def visible(self, mask: Mask, step: Step) -> tuple[Tensor | None, bool]:
        """What `mask` lets the step's queries see: (bool [B 1 T S] or None for all, causal).

        `causal` stands for the plain lower triangle, which kernels know without a tensor.
        """
        table, causal = self._sight(mask, step)
        return None if causal or table is None else table.whole, causal

    def shown(self, mask: Mask, step: Step) -> dict[str, Any]:
        """The same as arguments of `attend`, which may need no table, nor to skip empty slots."""
        reaches = mask.reach is None or mask.reach >= self.k.shape[2]
        if self.last is not None and reaches and isinstance(mask, Causal | Window):
            return {"last": self.last}
        table, causal = self._sight(mask, step)
        return {"seen": table, "causal": causal}

    def _sight(self, mask: Mask, step: Step) -> tuple[Table | None, bool]:
        """What is seen, None for all; and whether it is the lower triangle."""
        causal = False
        if self.even and step.segments is None and step.seen is None:
            t, s = step.positions.shape[1], self.k.shape[2]
            reached = isinstance(mask, Causal) or (isinstance(mask, Window) and s <= mask.size)
            if isinstance(mask, Full) or (reached and t == 1):
                return None, False
            causal = reached and t == s and self.place == "step"
        facts = (step.positions, self.positions, self.real, step.segments, step.seen)
        rows = max(len(fact) for fact in facts if fact is not None)
        table = step.once((mask, self.place), lambda: Table(lambda: self._rule(mask, step), rows))
        return table, causal

    def _rule(self, mask: Mask, step: Step) -> Rule:
        allowed = step.seen
        if allowed is not None:  # of earlier tokens it says nothing
            older = self.positions.shape[1] - allowed.shape[-1]
            allowed = F.pad(allowed, (older, 0), value=True)

        def sees(at: Places) -> Tensor:
            seen = mask(at.q(step.positions), at.k(self.positions))
            if self.real is not None:
                seen = seen & at.k(self.real)
            if step.segments is not None:
                seen = seen & (at.q(step.segments) == at.k(step.segments))
            return seen if allowed is None else seen & at.pair(allowed)

        return sees


def types_of(step: Step, seen: int) -> tuple[Tensor, Tensor]:
    """The types of a step's tokens, and of all that they see: the remembered ones are of type 0."""
    types = torch.zeros_like(step.positions[:1]) if step.types is None else step.types
    return types, F.pad(types, (seen - types.shape[1], 0))
