"""Sequences without gaps: what a block that reads one token after another is given."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from blocks.errors import SpecError
from blocks.ops.watch import looking, noted
from blocks.step import Step

__all__: list[str] = []


@dataclass(frozen=True)
class Rows:
    """The tokens of a step, each sequence moved to the left of a row of its own.

    A recurrence must pass over padding, wherever it lies, and must forget between packed
    documents. Here both are gone: padding can only follow the last token of a row, and each
    document has a row.

    Attributes:
        slots: [R L], the place in the step (b·T + t) that each slot takes its token from; None
            where rows are as they came.
        places: [B T], the slot (r·L + l) that each token went to.
        lengths: [R], how many tokens of a row are real; None where all are.
    """

    slots: Tensor | None = None
    places: Tensor | None = None
    lengths: Tensor | None = None

    @classmethod
    def of(cls, step: Step) -> Rows:
        """Those of a step, found once for all layers.

        Errors:
            SpecError: tokens that may look only at some of those before them (`seen`), or packed
                documents in a call with a state.
        """
        if step.seen is not None:
            reason = "a recurrence carries all that came before, and can't leave some of it out"
            raise SpecError(reason, field="seen")
        if step.segments is not None and step.clock is not None:
            reason = "a state goes on with one text a row, and can't with packed documents"
            raise SpecError(reason, field="segments")
        return step.once(("rows", "real", "segments"), lambda: cls._of(step.real, step.segments))

    @classmethod
    def _of(cls, real: Tensor | None, segments: Tensor | None) -> Rows:
        if segments is not None:
            kept = torch.ones_like(segments, dtype=torch.bool) if real is None else real
            begins = torch.ones_like(kept)
            begins[:, 1:] = segments[:, 1:] != segments[:, :-1]
            row = begins.flatten().cumsum(0) - 1
            return cls._moved(kept.flatten(), row, int(row[-1]) + 1, kept.shape)
        if real is None:
            return cls()
        size, length = real.shape
        row = torch.arange(size, device=real.device).repeat_interleave(length)
        return cls._moved(real.flatten(), row, size, real.shape)

    @classmethod
    def _moved(cls, kept: Tensor, row: Tensor, rows: int, shape: torch.Size) -> Rows:
        """`kept` and `row`, each [B·T]: whether a token counts, and which row it belongs to."""
        number = torch.arange(len(row), device=row.device)
        ordered = torch.argsort(row * 2 + (~kept).long(), stable=True)  # what counts comes first
        sizes = torch.zeros(rows, dtype=torch.long, device=row.device)
        sizes = sizes.scatter_add(0, row, torch.ones_like(row))
        lengths = torch.zeros_like(sizes).scatter_add(0, row, kept.long())
        same = rows == shape[0]  # rows of the step itself: none is longer, and no device is asked
        longest = shape[1] if same else int(sizes.max())
        first = sizes.cumsum(0) - sizes
        slot = row[ordered] * longest + number - first[row[ordered]]
        slots = torch.zeros(rows * longest, dtype=torch.long, device=row.device)
        places = torch.empty_like(slot).scatter(0, ordered, slot)
        slots = slots.scatter(0, slot, ordered).view(rows, longest)
        return cls(slots, places.view(shape), lengths)

    def take(self, x: Tensor) -> Tensor:
        """[B T …] -> [R L …]; slots behind a row's last token hold tokens that don't count."""
        return x if self.slots is None else x.flatten(0, 1)[self.slots]

    def put(self, y: Tensor) -> Tensor:
        """[R L …] -> [B T …], the inverse of `take`."""
        return y if self.places is None else y.flatten(0, 1)[self.places]

    def noted(self, **values: Tensor) -> tuple[Tensor, ...]:
        """Values [R L …] as whoever looks leaves them, who sees them as [B T …].

        Those of heads, [R L H …], are seen as [B H T …].
        """
        if not looking():
            return tuple(values.values())
        seen = noted(**{name: _heads_turned(self.put(x)) for name, x in values.items()})
        return tuple(self.take(_heads_turned(x)) for x in seen)

    def real(self, length: int) -> Tensor | None:
        """[R L], True where a slot's token counts; None where all do."""
        if self.lengths is None:
            return None
        return torch.arange(length, device=self.lengths.device) < self.lengths[:, None]

    def turn(self, x: Tensor) -> Tensor:
        """[R L …] with the tokens of each row that count in the opposite order."""
        if self.lengths is None:
            return x.flip(1)
        slot = torch.arange(x.shape[1], device=x.device)
        back = self.lengths[:, None] - 1 - slot  # R L
        return x[torch.arange(len(x), device=x.device)[:, None], torch.where(back < 0, slot, back)]

    def newest(self, before: Tensor, x: Tensor) -> Tensor:
        """The last n tokens of each row [R n …]: of those `before` [R n …] and x [R L …] after."""
        n, new = before.shape[1], x.shape[1]
        if self.lengths is None:  # a view would keep all of x
            return torch.cat([before[:, min(n, new) :], x[:, max(0, new - n) :]], 1)
        both = torch.cat([before, x], 1)
        at = self.lengths[:, None] + torch.arange(n, device=x.device)  # R n
        return both.gather(1, at.view(*at.shape, *[1] * (x.dim() - 2)).expand_as(before))


def _heads_turned(x: Tensor) -> Tensor:
    return x.transpose(1, 2) if x.dim() == 4 else x
