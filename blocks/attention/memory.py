"""What attention remembers: keys and values, all of them or a ring of the newest."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import torch
from torch import Tensor

from blocks.attention.mask import Causal, Full, Mask, Window
from blocks.state import Clock, Content
from blocks.step import Step

__all__ = ["KVRing", "KVState", "Seen"]


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
    """

    k: Tensor
    v: Tensor
    positions: Tensor
    real: Tensor | None
    place: Hashable
    even: bool

    @classmethod
    def new(cls, k: Tensor, v: Tensor, step: Step) -> Seen:
        """Only this step's own tokens."""
        return cls(k, v, step.positions, step.real, "step", step.real is None)

    def visible(self, mask: Mask, step: Step) -> tuple[Tensor | None, bool]:
        """What `mask` lets the step's queries see: (bool [B 1 T S] or None for all, causal).

        `causal` stands for the plain lower triangle, which kernels know without a tensor.
        """
        t, s = step.positions.shape[1], self.k.shape[2]
        if self.even and step.segments is None:
            reached = isinstance(mask, Causal) or (isinstance(mask, Window) and s <= mask.size)
            if isinstance(mask, Full) or (reached and t == 1):
                return None, False
            if reached and t == s and self.place == "step":
                return None, True
        return step.once((mask, self.place), lambda: self._table(mask, step)), False

    def _table(self, mask: Mask, step: Step) -> Tensor:
        seen = mask(step.positions[:, :, None], self.positions[:, None, :])  # B T S
        if self.real is not None:
            seen = seen & self.real[:, None, :]
        if step.segments is not None:
            seen = seen & (step.segments[:, :, None] == step.segments[:, None, :])
        return seen[:, None]  # B 1 T S


def _write(to: Tensor, new: Tensor, slots: Tensor, keep: Tensor | None) -> None:
    """Puts `new` [B K T E] into `to` [B K C E] at slots [B T], where `keep` [B T] says so."""
    if len(slots) == 1 and keep is None:
        to.index_copy_(2, slots[0], new)
    else:
        rows, tokens = torch.where(torch.ones_like(slots, dtype=torch.bool) if keep is None else keep)
        to[rows, :, slots[rows, tokens]] = new[rows, :, tokens]


def _clock(step: Step) -> Clock:
    if step.clock is None:
        raise ValueError("a step that reads a state comes from State.begin, which gives it a clock")
    return step.clock


@dataclass
class KVState(Content):
    """All keys and values seen, the token at position p in slot p: [B K C E] each.

    Grows by doubling where the clock sets no room, else holds the room from the start.
    """

    k: Tensor
    v: Tensor
    trims = True

    @classmethod
    def empty(cls, batch: int, kv_heads: int, room: int | None, dims: tuple[int, int], like: dict):
        k, v = (torch.zeros(batch, kv_heads, room or 0, dim, **like) for dim in dims)
        return cls(k, v)

    def append(self, k: Tensor, v: Tensor, step: Step) -> Seen:
        clock = _clock(step)
        past, end = clock.used, clock.used + k.shape[2]
        if clock.room is None:
            self._grow(end)
        end = min(end, self.k.shape[2])
        _write(self.k, k, step.positions, step.real)
        _write(self.v, v, step.positions, step.real)
        if past == 0:
            return Seen.new(k, v, step)
        even = clock.even and step.real is None
        slots = step.once(("slots", end), lambda: torch.arange(end, device=k.device)[None])
        real = None if even else step.once(("written", end), lambda: slots < step.length)
        return Seen(self.k[:, :, :end], self.v[:, :, :end], slots, real, ("slots", end), even)

    def _grow(self, needed: int) -> None:
        more = max(needed, 2 * self.k.shape[2], 64) - self.k.shape[2]
        if needed > self.k.shape[2]:
            self.k = torch.cat([self.k, self.k.new_zeros(*self.k.shape[:2], more, self.k.shape[3])], 2)
            self.v = torch.cat([self.v, self.v.new_zeros(*self.v.shape[:2], more, self.v.shape[3])], 2)


@dataclass
class KVRing(KVState):
    """The newest `size` keys and values, the token at position p in slot p mod size.

    Enough for any mask that reaches no further back, at constant memory.
    """

    trims = False

    def append(self, k: Tensor, v: Tensor, step: Step) -> Seen:
        clock, size = _clock(step), self.k.shape[2]
        even = clock.even and step.real is None
        if even and k.shape[2] == 1:
            return self._append_one(k, v, step, clock)
        seen = Seen.new(k, v, step)
        if clock.used:
            old = step.once(("ring", size), lambda: _ring_positions(clock.next, size))
            new = torch.ones_like(k[:, 0, :, 0], dtype=torch.bool) if step.real is None else step.real
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
        _write(self.k, k, slots, keep.expand(len(k), -1))
        _write(self.v, v, slots, keep.expand(len(k), -1))
        return seen

    def _append_one(self, k: Tensor, v: Tensor, step: Step, clock: Clock) -> Seen:
        size = self.k.shape[2]
        _write(self.k, k, step.positions % size, None)
        _write(self.v, v, step.positions % size, None)
        end = min(clock.used + 1, size)
        slots = step.once(("ring now", size), lambda: _ring_positions(clock.next[:1] + 1, size))
        return Seen(
            self.k[:, :, :end], self.v[:, :, :end], slots[:, :end], None, ("ring now", size), True
        )


def _ring_positions(count: Tensor, size: int) -> Tensor:
    """[B size]: the position that each slot of a ring holds after `count` [B] tokens, −1 if none."""
    newest = count[:, None] - 1
    slot = torch.arange(size, device=count.device)[None]
    return torch.where(slot < count[:, None], newest - (newest - slot) % size, -1)
