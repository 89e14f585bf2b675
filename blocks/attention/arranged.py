"""How a windowed layer lays out its tokens: real ones first, and which of them see all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from blocks.ops.chunks import near_table, taken, to_front
from blocks.ops.watch import looking, noted
from blocks.step import Step

__all__ = ["Arranged"]


@dataclass
class Arranged:
    """The tokens of a step, its padding moved to the end, so that windows count real ones alone.

    Attributes:
        order: [B T], where each token comes from; None where all are real.
        real: [B T], in this order.
        chosen: [B G], places of the global tokens in this order; G is 0 where there are none.
        there: [B G], False where a row has fewer than G.
    """

    order: Tensor | None
    real: Tensor
    chosen: Tensor
    there: Tensor

    @classmethod
    def of(cls, x: Tensor, step: Step) -> Arranged:
        real = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)
        order, marks = None, torch.zeros_like(real)
        if step.real is not None:
            order = to_front(step.real)
            real = step.real.gather(1, order)
        if step.global_mask is not None:
            marks = step.global_mask if order is None else step.global_mask.gather(1, order)
            marks = marks & real
        most = 0 if step.global_mask is None else int(marks.sum(1).max())
        chosen = to_front(marks)[:, :most]
        return cls(order, real, chosen, marks.gather(1, chosen))

    def table(
        self, see: Callable[[Tensor, Tensor], Tensor], chunks: tuple[int, int, int]
    ) -> Tensor:
        """What a token sees: the global ones, then its chunk's neighbours; bool [B·C 1 L G+W·L].

        `see` is a predicate over places; chunks are of a size, with so many before and after.
        """
        beside = self.real.scatter(1, self.chosen, self.real.gather(1, self.chosen) & ~self.there)
        near = near_table(see, beside, *chunks)  # without the global ones: no key counts twice
        count = -(-self.real.shape[1] // chunks[0])
        far = self.there.repeat_interleave(count, 0)[:, None, None]
        return torch.cat([far.expand(*near.shape[:3], -1), near], -1)

    def noted(self, **values: Tensor) -> tuple[Tensor, ...]:
        """Values [B H T E] in this order, shown to those who look as the tokens stood."""
        if self.order is None or not looking():
            return noted(**values)
        back = self.order.argsort(1)
        seen = noted(**{name: taken(x, back) for name, x in values.items()})
        return tuple(taken(x, self.order) for x in seen)

    def unit(self, like: Tensor) -> Tensor:
        """Values [B H T T] that say of which token they are."""
        b, h, t = like.shape[:3]
        unit = torch.eye(t, dtype=like.dtype, device=like.device)
        return self.forth(unit.expand(b, -1, -1))[:, None].expand(-1, h, -1, -1)

    def forth(self, x: Tensor) -> Tensor:
        """[B T D] in this order."""
        return x if self.order is None else x.gather(1, self.order[..., None].expand_as(x))

    def back(self, y: Tensor) -> Tensor:
        """[B T D] as the tokens stood."""
        return (
            y if self.order is None else y.gather(1, self.order.argsort(1)[..., None].expand_as(y))
        )
