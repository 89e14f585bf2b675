"""Stages that read units of tokens: how they fit, what is asked of them, what is unfinished."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from blocks.errors import SpecError
from blocks.models.stack import Layers
from blocks.state import Content

__all__: list[str] = []


def units_of(stages: nn.ModuleList) -> list[int]:
    """How many tokens each stage reads as one; the last reads them one by one."""
    units = []
    for s, stage in enumerate(stages):
        if not isinstance(stage, Layers) or stage.widen is not None:
            reason = f"a {type(stage).__name__} is no LayerStack of one width"
            raise SpecError(reason, field=f"stages.{s}")
        units.append(getattr(stage.embedding, "count", 1))
    for s, (above, unit) in enumerate(pairwise(units), 1):
        if above <= unit or above % unit:
            reason = f"{unit} tokens a unit don't divide the {above} of the stage before"
            raise SpecError(reason, field=f"stages.{s}.embedding.count")
    if units[-1] != 1:
        reason = f"the last stage reads tokens one by one, not {units[-1]}"
        raise SpecError(reason, field=f"stages.{len(units) - 1}.embedding.count")
    return units


def narrowed(
    text: Tensor, said: Tensor, asked: Tensor, count: int, unit: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Only the units in which something is asked for.

    Args:
        text: [B K·unit].
        said: [B K D], something of each unit.
        asked: [B 1], the first place in the text that is asked for.
        count: how many places from there on are asked for.
        unit: how many places one has.

    Returns:
        The same three of fewer units; those behind a row's last place are any.
    """
    most = said.shape[1]
    width = min(most, (count + unit - 2) // unit + 1)  # wherever in a unit they begin
    first = asked // unit
    units = (first + torch.arange(width, device=text.device)).clamp(max=most - 1)[..., None]
    cut = text.unflatten(1, (most, unit)).gather(1, units.expand(-1, -1, unit))
    kept = said.gather(1, units.expand(-1, -1, said.shape[-1]))
    return cut.flatten(1), kept, asked - first * unit


def joined(before: Tensor, held: Tensor, new: Tensor, length: int) -> Tensor:
    """What is held [B] of tokens before [B U], then new ones [B T], then any: [B length]."""
    both = torch.cat([before, new], 1)
    place = torch.arange(length, device=new.device)
    after = place + (before.shape[1] - held)[:, None]
    at = torch.where(place < held[:, None], place, after.clamp(max=both.shape[1] - 1))
    return both.gather(1, at)


@dataclass
class Unfinished(Content):
    """The tokens of a unit that is not whole yet [B U], and what was said before it [B 1 D]."""

    tail: Tensor
    said: Tensor

    def keep(self, text: Tensor, said: Tensor, done: Tensor) -> None:
        """Holds the unit after the `done` [B] whole ones, and what was said before it."""
        unit = self.tail.shape[1]
        place = done[:, None] * unit + torch.arange(unit, device=text.device)
        self.tail = text.gather(1, place)
        self.said = said.gather(1, done[:, None, None].expand(-1, -1, said.shape[-1]))
