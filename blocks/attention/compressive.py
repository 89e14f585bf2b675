"""What Infini-attention remembers, and how a step's tokens fall into segments."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from blocks.state import Clock, Content
from blocks.step import Step

__all__ = ["InfiniState"]

EPS = 1e-10  # an empty memory recalls nothing


@dataclass
class Portion:
    """Tokens that all lie in the segment their row is in.

    Attributes:
        columns: where they are in the step.
        real: [B n], those that count; None where all do.
        slots: [B n] or [1 n], the place of each in its segment; −1 where it doesn't count.
        seen: bool, broadcasts to [B H n S], the slots that a token may look at; None for all.
        causal: the lower triangle instead.
        end: S, how many slots need be looked at.
        older: bool, broadcasts to [B H n E], whether segments lie before a token's own.
        full: whether the segment ends with them, for each row [B] where rows differ.
    """

    columns: slice
    real: Tensor | None
    slots: Tensor
    seen: Tensor | None
    causal: bool
    end: int
    older: Tensor
    full: Tensor | bool


def portions(x: Tensor, step: Step, segment: int, room: int) -> Iterator[Portion]:
    """The tokens of x [B T D] in order, so that no portion crosses the end of a segment.

    `room` is how many slots there are, fewer than `segment` where no row will be as long as that.
    """
    clock = Clock(len(x), None, x.device) if step.clock is None else step.clock
    if clock.even and step.real is None:
        return _even(x, clock.used, segment)
    real = torch.ones_like(x[..., 0], dtype=torch.bool) if step.real is None else step.real
    return _ragged(real, clock.next[:, None], segment, room)


def _even(x: Tensor, used: int, segment: int) -> Iterator[Portion]:
    done = 0
    while done < x.shape[1]:
        start = (used + done) % segment
        n = min(segment - start, x.shape[1] - done)
        slots = torch.arange(start, start + n, device=x.device)
        keys = torch.arange(start + n, device=x.device)
        seen = keys <= slots[:, None] if start and n > 1 else None
        older = torch.full_like(slots[:, None], used + done >= segment, dtype=torch.bool)
        columns, full = slice(done, done + n), start + n == segment
        yield Portion(columns, None, slots[None], seen, not start, start + n, older, full)
        done += n


def _ragged(real: Tensor, after: Tensor, segment: int, room: int) -> Iterator[Portion]:
    """`after` [B 1]: the position of each row's next token."""
    for start in range(0, real.shape[1], segment):
        columns = slice(start, min(start + segment, real.shape[1]))
        here = real[:, columns]
        places = after + (here.cumsum(1) - 1).clamp(min=0)  # B n
        current = places // segment == after // segment
        slots = places % segment
        keys = torch.arange(room, device=real.device)
        seen = (keys <= slots[..., None])[:, None]  # B 1 n S
        older = (places >= segment)[:, None, :, None]
        # So few columns end at most one segment of a row, and a single one none before itself.
        for part in (here & current, here & ~current)[: here.shape[1]]:
            until = after + part.sum(1, keepdim=True)
            full = (until // segment > after // segment)[:, 0]
            to = torch.where(part, slots, -1)
            yield Portion(columns, part, to, seen, False, room, older, full)
            after = until


@dataclass
class InfiniState(Content):
    """The current segment's keys and values [B K L+1 E], and the memory of those before it.

    The last slot takes what is not real. `memory` [B K E E] and `norm` [B K E] are as they were
    when the segment began; `next_memory` and `next_norm` hold its tokens as well. Those four are
    sums over the whole text and so at least in float32.
    """

    k: Tensor
    v: Tensor
    memory: Tensor
    norm: Tensor
    next_memory: Tensor
    next_norm: Tensor

    @classmethod
    def empty(
        cls, batch: int, kv_heads: int, size: int, dim: int, like: dict[str, Any]
    ) -> InfiniState:
        k, v = (torch.zeros(batch, kv_heads, size + 1, dim, **like) for _ in range(2))
        sums: dict[str, Any] = {"device": like["device"]}
        sums["dtype"] = torch.promote_types(like["dtype"], torch.float32)
        memory, growing = (torch.zeros(batch, kv_heads, dim, dim, **sums) for _ in range(2))
        return cls(k, v, memory, memory[..., 0].clone(), growing, growing[..., 0].clone())

    @property
    def room(self) -> int:
        """How many tokens of a segment fit."""
        return self.k.shape[2] - 1

    def write(self, k: Tensor, v: Tensor, now: Portion) -> tuple[Tensor, Tensor]:
        """The segment's keys and values [B K S E], after new ones [B K n E] have joined them."""
        slots = torch.where(now.slots < 0, self.room, now.slots)[:, None, :, None].expand_as(k)
        self.k, self.v = self.k.scatter(2, slots, k), self.v.scatter(2, slots, v)
        return self.k[:, :, : now.end], self.v[:, :, : now.end]

    def read(self, q: Tensor) -> Tensor:
        """What the memory gives back: [B H n E] -> [B H n E]."""
        groups = self.memory.shape[1]
        found = self._recall(self._feature(q).unflatten(1, (groups, -1)).flatten(2, 3))
        return found.unflatten(2, (-1, q.shape[2])).flatten(1, 2)

    def keep(self, k: Tensor, v: Tensor, now: Portion, delta: bool) -> None:
        """Adds keys and values [B K n E] to the memory of segments to come."""
        s, v = self._feature(k), v.to(self.memory.dtype)
        if now.real is not None:
            lost = ~now.real[:, None, :, None]
            s, v = s.masked_fill(lost, 0), v.masked_fill(lost, 0)
        new = v - self._recall(s) if delta else v
        self.next_memory = self.next_memory + s.transpose(-1, -2) @ new  # B K E E
        self.next_norm = self.next_norm + s.sum(2)  # B K E
        if isinstance(now.full, Tensor):
            full = now.full[:, None, None]
            self.memory = torch.where(full[..., None], self.next_memory, self.memory)
            self.norm = torch.where(full, self.next_norm, self.norm)
        elif now.full:
            self.memory, self.norm = self.next_memory, self.next_norm

    def _feature(self, x: Tensor) -> Tensor:
        return F.elu(x.to(self.memory.dtype)) + 1

    def _recall(self, s: Tensor) -> Tensor:
        return s @ self.memory / (s @ self.norm[..., None]).clamp(min=EPS)  # B K n E
