"""Keys and values for a compiled step: how many are written is told by tensors alone."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from blocks.attention.memory import KVState, write
from blocks.attention.ring import KVRing, ring_positions
from blocks.attention.seen import Seen
from blocks.state import Content
from blocks.step import Step


@dataclass
class Slots(KVState):
    """The tensors of a `KVState` with room, of which a step of one token sees the written part."""

    def append(self, k: Tensor, v: Tensor, step: Step) -> Seen:
        room, places = self.k.shape[2], step.positions  # B 1
        slots = self._slots(places, room)
        keep = None if len(places) == 1 else torch.ones_like(places, dtype=torch.bool)
        write(self.k, k, slots, keep)
        write(self.v, v, slots, keep)
        last = places.clamp(max=room - 1)[:, 0]  # B
        every = torch.arange(room, device=k.device)[None]  # 1 C
        where = self._name(room)
        positions = step.once(("positions", where), lambda: self._positions(places, room))
        real = step.once(("real", where), lambda: every <= last[:, None])
        return Seen(self.k, self.v, positions, real, where, False, last)

    def _name(self, room: int) -> Hashable:
        return Slots  # all have the room of their state, whose number the graph shall not know

    def _slots(self, places: Tensor, room: int) -> Tensor:
        return places

    def _positions(self, places: Tensor, room: int) -> Tensor:
        return torch.arange(room, device=places.device)[None]


@dataclass
class RingSlots(Slots):
    """The same of a `KVRing`."""

    trims = False

    def _name(self, room: int) -> Hashable:
        return RingSlots, room

    def _slots(self, places: Tensor, room: int) -> Tensor:
        return places % room

    def _positions(self, places: Tensor, room: int) -> Tensor:
        return ring_positions(places[:, 0] + 1, room)


KINDS: dict[type[Any], type[Slots]] = {KVState: Slots, KVRing: RingSlots}


def slots_of(content: Any) -> Any:
    """The tree of a state's contents for a compiled step.

    Errors:
        KeyError: the type of a content that such a step can't use.
    """
    if isinstance(content, dict):
        return {name: slots_of(part) for name, part in content.items()}
    if isinstance(content, list):
        return [slots_of(part) for part in content]
    if content is None:
        return None
    if isinstance(content, Content) and content.timeless:
        return content
    held: Any = content
    slots = KINDS[type(held)](held.k, held.v)
    if type(slots) is Slots:
        for tensor in (slots.k, slots.v):
            torch._dynamo.mark_dynamic(tensor, 2)  # one graph for every room
    return slots
