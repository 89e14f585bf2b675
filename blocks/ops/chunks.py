"""Chunks: a sequence cut into equal pieces, each of which looks at those beside it."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

__all__: list[str] = []


def cut(x: Tensor, chunk: int) -> Tensor:
    """[B K S E] -> [B·C K L E], chunks of L tokens; zeros fill the last one."""
    return spread(x, chunk, 0, 0)


def spread(x: Tensor, chunk: int, before: int, after: int) -> Tensor:
    """[B K S E] -> [B·C K W·L E], each chunk with its neighbours; zeros lie beyond both ends."""
    lack = -x.shape[2] % chunk
    padded = F.pad(x, (0, 0, before * chunk, lack + after * chunk))
    windows = padded.unfold(2, (before + 1 + after) * chunk, chunk)  # B K C E W·L
    return windows.permute(0, 2, 1, 4, 3).flatten(0, 1)


def joined(y: Tensor, batch: int, tokens: int) -> Tensor:
    """The inverse of `cut`: [B·C K L E] -> [B K S E]."""
    chunks = -(-tokens // y.shape[2])
    return y.unflatten(0, (batch, chunks)).transpose(1, 2).flatten(2, 3)[:, :, :tokens]


def near_table(
    see: Callable[[Tensor, Tensor], Tensor],
    real: Tensor,
    chunk: int,
    before: int,
    after: int,
) -> Tensor:
    """What each token of a chunk sees of it and its neighbours: bool [B·C 1 L W·L].

    Args:
        see: a predicate over (query position, key position).
        real: [B S], True where there is a token; positions are places in the row.
        chunk: L.
        before, after: how many neighbours.
    """
    return table_of(see, real, chunk, lambda rows: spread(rows, chunk, before, after))


def table_of(
    see: Callable[[Tensor, Tensor], Tensor],
    real: Tensor,
    chunk: int,
    windows: Callable[[Tensor], Tensor],
) -> Tensor:
    """The same where `windows` makes [B·C K W·L E] of [B K S E]: what each chunk looks at."""
    # Half as wide as usual: of what a layer makes these tables would be the largest.
    place = torch.arange(real.shape[1], device=real.device, dtype=torch.int32).expand_as(real)
    rows = torch.stack([place, real.int()], 1)[..., None]  # B 2 S 1
    q, k = cut(rows, chunk)[..., 0], windows(rows)[..., 0]  # B·C 2 L
    return (see(q[:, 0, :, None], k[:, 0, None, :]) & (k[:, 1, None, :] == 1))[:, None]


def to_front(real: Tensor) -> Tensor:
    """The order [B T] in which real tokens come first, else as they stand."""
    return real.int().argsort(dim=1, descending=True, stable=True)


def taken(x: Tensor, order: Tensor) -> Tensor:
    """The tokens of x [B K T E] in an order [B N]."""
    return x.gather(2, order[:, None, :, None].expand(-1, x.shape[1], -1, x.shape[3]))
