"""What attention with a bounded reach remembers: a ring of the newest keys and values."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from blocks.attention.mask import Mask
from blocks.attention.memory import KVState, clock_of, write
from blocks.attention.seen import Seen
from blocks.state import Clock
from blocks.step import Step

__all__ = ["KVRing"]


@dataclass
class KVRing(KVState):
    """The newest `size` keys and values, the token at position p in slot p mod size.

    Enough for any mask that reaches no further back, at constant memory.
    """

    trims = False

    def reserve(self, room: int) -> None:
        """A ring has room for any number."""

    def append(self, k: Tensor, v: Tensor, step: Step) -> Seen:
        clock, size = clock_of(step), self.k.shape[2]
        even = clock.even and step.real is None
        if even and k.shape[2] == 1:
            return self._append_one(k, v, step, clock)
        seen = Seen.new(k, v, step)
        if clock.used:
            old = step.once(("ring", size), lambda: ring_positions(clock.next, size))
            new = (
                torch.ones_like(k[:, 0, :, 0], dtype=torch.bool) if step.real is None else step.real
            )
            parts = (old, step.positions.expand(len(old), -1))
            seen = Seen(
                torch.cat([self.k, k], 2),
                torch.cat([self.v, v], 2),
                torch.cat(parts, 1),
                torch.cat([old >= 0, new], 1),
                ("ring and step", size),
                even=False,
            )
        newest = step.positions >= step.length - size
        keep = newest if step.real is None else newest & step.real
        slots = (step.positions % size).expand(len(k), -1)
        write(self.k, k, slots, keep.expand(len(k), -1))
        write(self.v, v, slots, keep.expand(len(k), -1))
        return seen

    def _append_one(self, k: Tensor, v: Tensor, step: Step, clock: Clock) -> Seen:
        size = self.k.shape[2]
        write(self.k, k, step.positions % size, None)
        write(self.v, v, step.positions % size, None)
        end = min(clock.used + 1, size)
        slots = step.once(("ring now", size), lambda: ring_positions(clock.next[:1] + 1, size))
        return Seen(
            self.k[:, :, :end], self.v[:, :, :end], slots[:, :end], None, ("ring now", size), True
        )


def state_for(
    mask: Mask, batch: int, kv_heads: int, room: int | None, dims: tuple[int, int], like: dict
) -> KVState:
    """An empty ring where the mask reaches less far back than there is room, else a full memory."""
    reach = mask.reach
    ring = reach is not None and (room is None or reach < room)
    kind, size = (KVRing, reach) if ring else (KVState, room)
    return kind.empty(batch, kv_heads, size, dims, like)


def ring_positions(count: Tensor, size: int) -> Tensor:
    """[B size]: the position that each slot holds after `count` [B] tokens, −1 for none."""
    newest = count[:, None] - 1
    slot = torch.arange(size, device=count.device)[None]
    return torch.where(slot < count[:, None], newest - (newest - slot) % size, -1)
