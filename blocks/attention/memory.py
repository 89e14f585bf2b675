"""What attention remembers: the keys and values of all tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from blocks.attention.seen import Seen
from blocks.errors import GenerationError
from blocks.state import Clock, Content
from blocks.step import Step

__all__ = ["KVState"]

_HINT = "make one with init_state(batch, room, dtype) of this very model"


def write(to: Tensor, new: Tensor, slots: Tensor, keep: Tensor | None) -> None:
    """Puts `new` [B K T E] into `to` [B K C E] at slots [B T], where `keep` [B T] says so."""
    if len(slots) == 1 and keep is None:
        to.index_copy_(2, slots[0], new)
    else:
        rows, tokens = torch.where(
            torch.ones_like(slots, dtype=torch.bool) if keep is None else keep
        )
        to[rows, :, slots[rows, tokens]] = new[rows, :, tokens]


def clock_of(step: Step) -> Clock:
    if step.clock is None:
        raise ValueError("a step that reads a state comes from State.begin, which gives it a clock")
    return step.clock


def recall(block: str, state: Any, k: Tensor, v: Tensor, step: Step) -> Seen:
    """What a block's queries see: `k` and `v` [B K T E], behind all that its state holds."""
    if state is None:
        return Seen.new(k, v, step)
    if not isinstance(state, KVState):
        reason = f"{block} remembers a KVState, not a {type(state).__name__}"
        raise GenerationError(reason, field="state", hint=_HINT)
    held = state.k
    if (held.shape[1], held.shape[3], held.dtype) != (k.shape[1], k.shape[3], k.dtype):
        have, want = (f"{t.shape[1]} heads of {t.shape[3]} in {t.dtype}" for t in (held, k))
        raise GenerationError(f"the state holds {have}, not {want}", field="state", hint=_HINT)
    return state.append(k, v, step)


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
        clock = clock_of(step)
        past, end = clock.used, clock.used + k.shape[2]
        if clock.room is None:
            self.reserve(end)
        end = min(end, self.k.shape[2])
        write(self.k, k, step.positions, step.real)
        write(self.v, v, step.positions, step.real)
        if past == 0:
            return Seen.new(k, v, step)
        even = clock.even and step.real is None
        slots = step.once(("slots", end), lambda: torch.arange(end, device=k.device)[None])
        real = None if even else step.once(("written", end), lambda: slots < step.length)
        return Seen(self.k[:, :, :end], self.v[:, :, :end], slots, real, ("slots", end), even)

    def reserve(self, room: int) -> None:
        if room <= self.k.shape[2]:
            return
        more = max(room, 2 * self.k.shape[2], 64) - self.k.shape[2]
        for name, held in self.tensors():
            empty = held.new_zeros(*held.shape[:2], more, held.shape[3])
            setattr(self, name, torch.cat([held, empty], 2))
