"""Masks: whether the token at place q sees the one at place k."""

from __future__ import annotations

from collections.abc import Callable

Mask = Callable[[int, int], bool]


def causal(q: int, k: int) -> bool:
    return k <= q


def full(q: int, k: int) -> bool:
    return True


def window(q: int, k: int, *, size: int) -> bool:
    return k in range(q - size + 1, q + 1)


def symmetric_window(q: int, k: int, *, radius: int) -> bool:
    return k in range(q - radius, q + radius + 1)


def chunk(q: int, k: int, *, size: int) -> bool:
    first = q - q % size
    return first <= k <= q


def prefix(q: int, k: int, *, size: int) -> bool:
    return k <= q or max(q, k) < size


def both(q: int, k: int, *, first: Mask, second: Mask) -> bool:
    return first(q, k) and second(q, k)


def near_chunks(q: int, k: int, *, size: int, before: int, after: int) -> bool:
    own = q // size
    return (own - before) * size <= k < (own + after + 1) * size


def gist(q: int, k: int, *, start: int, stop: int) -> bool:
    """What comes after the gist is blind to what is before it, which is blind to what comes."""
    return k >= start if q >= stop else k < stop
