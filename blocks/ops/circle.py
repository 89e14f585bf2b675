"""Circles of chunks: the first one sees the last, and every row is a circle of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from blocks.ops.chunks import table_of

__all__: list[str] = []


@dataclass(frozen=True)
class Circle:
    """Which chunks each chunk of a row sees.

    Attributes:
        near: their numbers [B C W].
        new: [B W], False where so many steps have gone round and a chunk is seen already.
        chunk: tokens L of a chunk.
        multiple: of how many tokens the longest circle is.
    """

    near: Tensor
    new: Tensor
    chunk: int
    multiple: int

    @classmethod
    def of(cls, real: Tensor, chunk: int, multiple: int, reach: tuple[int, int]) -> Circle:
        """The circles of rows [B T] with their real tokens at the front.

        Args:
            real: True where there is a token.
            chunk: L.
            multiple: a row's chunks are of so many tokens or a multiple, padding last.
            reach: how many chunks one sees before and after itself.
        """
        used = -(-real.sum(1).clamp(min=1) // multiple) * (multiple // chunk)  # B
        own = torch.arange(-(-real.shape[1] // chunk), device=real.device)
        steps = torch.arange(-reach[0], reach[1] + 1, device=real.device)
        near = (own[:, None] + steps) % used[:, None, None]  # B C W
        new = torch.arange(len(steps), device=real.device) < used[:, None]
        return cls(near, new, chunk, multiple)

    def windows(self, x: Tensor) -> Tensor:
        """[B K S E] -> [B·C K W·L E], what each chunk sees."""
        (b, c, w), whole = self.near.shape, F.pad(x, (0, 0, 0, -x.shape[2] % self.multiple))
        cut = whole.unflatten(2, (-1, self.chunk))  # B K · L E
        index = self.near.view(b, 1, c * w, 1, 1).expand(-1, x.shape[1], -1, *cut.shape[3:])
        found = cut.gather(2, index).unflatten(2, (c, w))  # B K C W L E
        return found.flatten(3, 4).transpose(1, 2).flatten(0, 1)

    def table(self, see: Callable[[Tensor, Tensor], Tensor], real: Tensor) -> Tensor:
        """What each token of a chunk sees, bool [B·C 1 L W·L]; no key counts twice."""
        new = self.new.repeat_interleave(self.chunk, 1)  # B W·L
        new = new.repeat_interleave(self.near.shape[1], 0)[:, None, None]  # B·C 1 1 W·L
        return table_of(see, real, self.chunk, self.windows) & new
