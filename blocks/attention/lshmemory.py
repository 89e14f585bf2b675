"""What hashed attention remembers: vectors, values and buckets of all tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from blocks.attention.memory import KVState, clock_of, write
from blocks.attention.seen import Seen
from blocks.step import Step

__all__ = ["LSHState"]


@dataclass
class LSHState(KVState):
    """All shared queries and keys, and values, [B H C E] each, and their buckets [B H C R]."""

    buckets: Tensor

    @classmethod
    def made(cls, batch: int, sizes: tuple[int, int, int], room: int | None, like: Any) -> LSHState:
        heads, e, rounds = sizes
        k, v = (torch.zeros(batch, heads, room or 0, e, **like) for _ in range(2))
        names = torch.zeros(batch, heads, room or 0, rounds, dtype=torch.int64, device=k.device)
        return cls(k, v, names)

    def add(self, k: Tensor, v: Tensor, buckets: Tensor, step: Step) -> tuple[Seen, Tensor]:
        """Remembers them, and gives what is seen now with its buckets."""
        before = clock_of(step).used
        seen = self.append(k, v, step)
        write(self.buckets, buckets, step.positions, step.real)
        return seen, self.buckets[:, :, : seen.k.shape[2]] if before else buckets
