"""Hashing by random rotations, and attention among tokens that were hashed alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from blocks.errors import SpecError
from blocks.ops.constant import constant

__all__: list[str] = []

UNSEEN, ITSELF = -1e9, -1e5  # scores: a token that sees nothing else sees itself


def check_buckets(buckets: int | tuple[int, ...]) -> tuple[int, ...]:
    """The numbers of buckets, each of as many directions as of their opposites."""
    each = (buckets,) if isinstance(buckets, int) else tuple(buckets)
    if not each or any(n < 2 or n % 2 for n in each):
        reason = f"directions come in pairs: even numbers above zero, not {buckets}"
        raise SpecError(reason, field="buckets")
    return each


@constant
def drawn(shape: tuple[int, ...], seed: int) -> Tensor:
    """Rotations of a seed: on the CPU and in float32, so that it says the same everywhere."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), device="cpu")


def bucket_of(x: Tensor, rotations: Tensor, buckets: tuple[int, ...]) -> Tensor:
    """The bucket of each vector in each round: x [B H T E], rotations [H E R N/2] -> [B H T R].

    Of n directions the nearest to the rotated vector. Several numbers of buckets hash several
    times, and every combination is a bucket.
    """
    turned = torch.einsum("bhte,hern->bhrtn", x, rotations.to(x.dtype)).transpose(2, 3)
    found, factor = torch.zeros_like(turned[..., 0], dtype=torch.int64), 1
    for part, n in zip(turned.split([n // 2 for n in buckets], -1), buckets, strict=True):
        found = found + factor * torch.cat([part, -part], -1).argmax(-1)
        factor *= n
    return found


def sorted_order(buckets: Tensor, real: Tensor) -> Tensor:
    """The tokens in the order of their buckets, padding last: [B H S R], [B S] -> [B H R S]."""
    last = torch.iinfo(buckets.dtype).max
    named = torch.where(real[:, None, :, None], buckets, last)  # B H S R
    return named.transpose(2, 3).argsort(dim=-1, stable=True)


def beside(
    own: Tensor, chunks: int, used: Tensor | int, rounds: int, reach: tuple[int, int]
) -> Tensor:
    """The chunks that a chunk sees: [... G] -> [... G W], numbers among rounds · chunks.

    They lie in a circle, round after round, without the chunks that hold padding alone.

    Args:
        own: numbers of the chunks that look.
        chunks: of each round.
        used: how many of these hold tokens, broadcast to `own`.
        rounds: of hashing.
        reach: how many chunks one sees before and after itself.
    """
    steps = torch.arange(-reach[0], reach[1] + 1, device=own.device)
    used = used[..., None] if isinstance(used, Tensor) else used
    found = (own[..., None] // chunks * used + own[..., None] % chunks + steps) % (rounds * used)
    return found // used * chunks + found % used


def attend_hashed(
    q: Tensor,
    v: Tensor,
    buckets: Tensor,
    index: Tensor,
    positions: Tensor,
    real: Tensor | None,
    see: Callable[[Tensor, Tensor], Tensor],
    *,
    chunk: int,
    multiple: int,
    reach: tuple[int, int],
    dropout: float = 0.0,
) -> Tensor:
    """What some tokens see of those in their chunks: [B H T E].

    Args:
        q: shared queries and keys [B H S E].
        v: [B H S E].
        buckets: [B H S R].
        index: [B T] or [1 T], which of the S tokens look.
        positions: [B S] or [1 S].
        real: [B S], False where there is nothing; None where all is real.
        see: a predicate over (query position, key position).
        chunk: tokens L of a chunk; a row of up to so many is one, and nothing is sorted.
        multiple: of how many tokens all chunks together are.
        reach: how many chunks one sees before and after itself.
        dropout: rate of dropped weights.
    """
    b, _, s, e = q.shape
    lack = -s % multiple if s > chunk else 0
    used: Tensor | int = s if real is None else real.sum(1).clamp(min=1)[:, None, None]  # B 1 1
    rows = positions, torch.ones_like(positions, dtype=torch.bool) if real is None else real
    index, place, known = index.expand(b, -1), *(F.pad(r.expand(b, -1), (0, lack)) for r in rows)
    q, v, buckets = (F.pad(part, (0, 0, 0, lack)) for part in (q, v, buckets))
    k = F.rms_norm(q, (e,), eps=1e-6) / e**0.5
    it = Hashed(q, k, v, place, known, see, dropout)
    if s <= chunk:
        return it.plain(index)
    short = None if isinstance(used, int) else (used <= chunk)[..., None]  # B 1 1 1
    used = -(-used // multiple) * (multiple // chunk)
    return it.by_chunks(index, sorted_order(buckets, known), chunk, used, short, reach)


@dataclass
class Hashed:
    """Shared queries and keys, values, and where their tokens stand.

    Attributes:
        q: [B H S E].
        k: [B H S E], of length 1.
        v: [B H S E].
        positions: [B S].
        real: [B S].
        see: a predicate over (query position, key position).
        dropout: rate of dropped weights.
    """

    q: Tensor
    k: Tensor
    v: Tensor
    positions: Tensor
    real: Tensor
    see: Callable[[Tensor, Tensor], Tensor]
    dropout: float

    def plain(self, index: Tensor) -> Tensor:
        """What tokens index [B T] see of all: [B H T E]."""
        (b, h), s = self.q.shape[:2], self.q.shape[2]
        window = torch.arange(s, device=index.device).expand(b, h, 1, s)
        return self.look(index[:, None, None].expand(b, h, 1, -1), window)[0][:, :, 0]

    def by_chunks(
        self,
        index: Tensor,
        order: Tensor,
        chunk: int,
        used: Tensor | int,
        short: Tensor | None,
        reach: tuple[int, int],
    ) -> Tensor:
        """What tokens index [B T] see in all rounds of order [B H R S]: [B H T E].

        Args:
            index: places in the sequence.
            order: places in the order of the buckets, cut into chunks.
            chunk: tokens L of a chunk.
            used: as in `beside`, [B 1 1].
            short: which rows are one chunk, [B 1 1 1]; None where none is.
            reach: how many chunks one sees before and after itself.
        """
        rounds, chunks = order.shape[2], order.shape[3] // chunk
        numbers = torch.arange(order.shape[3], device=order.device).expand_as(order)
        place = torch.empty_like(order).scatter_(-1, order, numbers)  # B H R S
        place = place.gather(-1, index[:, None, None].expand(*order.shape[:3], -1))  # B H R T
        cut = order.unflatten(3, (chunks, chunk)).flatten(2, 3)  # B H RC L
        if index.shape[1] == 1:  # one token needs its own chunk in each round alone
            first = torch.arange(rounds, device=order.device) * chunks
            own, rows = first + place[..., 0] // chunk, index[:, None, None].expand_as(place)
        else:
            own, rows = torch.arange(rounds * chunks, device=order.device).expand(1, 1, -1), cut
        near = beside(own, chunks, used, rounds, reach).expand(*cut.shape[:2], -1, -1)  # B H G W
        window = cut.gather(2, near.flatten(2)[..., None].expand(-1, -1, -1, chunk))
        hidden = None
        if short is not None:  # whose circle holds copies of one chunk alone
            away = torch.arange(near.shape[-1], device=order.device) != reach[0]
            hidden = (short & away).repeat_interleave(chunk, -1)[..., None, :]  # B 1 1 1 W·L
        window = window.unflatten(2, near.shape[2:]).flatten(3)  # B H G W·L
        y, total = self.look(rows, window, hidden)  # B H G L E
        if index.shape[1] > 1:
            y, total = (_put_back(part, place) for part in (y, total))  # B H R T E
        share = (total - total.logsumexp(2, keepdim=True)).exp()
        if short is not None:
            share = torch.where(short[..., None], 1 / rounds, share)
        return (share.to(y.dtype) * y).sum(2)

    def look(
        self, rows: Tensor, window: Tensor, hidden: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Tokens rows [B H G L] look at window [B H G M], without what is hidden [B 1 1 1 M].

        Gives what they see [B H G L E], and the logarithm of the sum of the powers, [B H G L 1]
        in float32.
        """
        q, k, v = _taken(self.q, rows), _taken(self.k, window), _taken(self.v, window)
        scores = q @ k.transpose(-1, -2)  # B H G L M
        scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
        at, key = _looked_up(self.positions, rows), _looked_up(self.positions, window)
        seen = self.see(at[..., None], key[..., None, :])
        seen = seen & _looked_up(self.real, window)[..., None, :]
        scores = scores.masked_fill(~seen, UNSEEN)
        scores = scores.masked_fill(rows[..., None] == window[..., None, :], ITSELF)
        scores = scores if hidden is None else scores.masked_fill(hidden, UNSEEN)
        total = scores.logsumexp(-1, keepdim=True)  # B H G L 1
        # No softmax: near ITSELF float32 rounds this difference, which models were trained with.
        weights = F.dropout((scores - total).exp(), self.dropout, self.dropout > 0)
        return weights.to(v.dtype) @ v, total


def _taken(x: Tensor, tokens: Tensor) -> Tensor:
    """Tokens [B H G L] of x [B H S E] -> [B H G L E]."""
    index = tokens.flatten(2)[..., None].expand(-1, -1, -1, x.shape[-1])
    return x.gather(2, index).unflatten(2, tokens.shape[2:])


def _put_back(y: Tensor, place: Tensor) -> Tensor:
    """Outputs [B H RC L E] of chunks for tokens at place [B H R T] -> [B H R T E]."""
    rounds = y.unflatten(2, (place.shape[2], -1)).flatten(3, 4)  # B H R S E
    return rounds.gather(3, place[..., None].expand(-1, -1, -1, -1, y.shape[-1]))


def _looked_up(row: Tensor, tokens: Tensor) -> Tensor:
    """Entries of row [B S] for tokens [B H G L]."""
    return row.gather(1, tokens.flatten(1)).view(tokens.shape)
