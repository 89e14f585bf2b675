"""Who looks into a block: where values within it are seen, and given back changed.

A block or operation lets its inner values pass `noted`, by name. Nobody looking, they pass as they
are. While someone looks (`blocks.capture`, `blocks.patch`), hooks before and after a block's call
say whose values they are; nothing of it is kept in a module.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

__all__: list[str] = []

Taker = Callable[[Tensor], Tensor]

_looking = False  # whether anyone does, in any thread: what a compiled graph asks
_count = 0
_lock = threading.Lock()


class _Here(threading.local):
    """What is asked of the block that this thread is in; several may look, one after another."""

    def __init__(self) -> None:
        self.takers: list[dict[str, Taker]] = []


_here = _Here()


def looking() -> bool:
    """Whether anyone looks into some model: what is prepared or compiled then runs as it is."""
    return _looking


@contextmanager
def opened() -> Iterator[None]:
    """While it is open, blocks are asked."""
    global _looking, _count
    with _lock:
        _count += 1
        _looking = True
    try:
        yield
    finally:
        with _lock:
            _count -= 1
            _looking = _count > 0


def enter(takers: dict[str, Taker]) -> None:
    """A block begins, of which these names are asked, once each."""
    _here.takers.append(takers)


def leave(takers: dict[str, Taker]) -> None:
    """It has ended."""
    _here.takers[:] = [one for one in _here.takers if one is not takers]


def wanted(name: str) -> bool:
    """Whether anyone asks for this value of the running block."""
    return _looking and any(name in takers for takers in _here.takers)


def noted(**values: Tensor) -> tuple[Tensor, ...]:
    """The values as they were, or as those who look have made them."""
    if not _looking:
        return tuple(values.values())
    for takers in _here.takers:
        for name in values:
            if name in takers:
                values[name] = takers.pop(name)(values[name])
    return tuple(values.values())


def unseen(mix: Callable[..., Tensor], *values: Tensor) -> Tensor:
    """`mix(*values)`, of whose own values nobody is shown any: they have another layout."""
    if not _looking:
        return mix(*values)
    asked, _here.takers = _here.takers, []
    try:
        return mix(*values)
    finally:
        _here.takers = asked


def through(mix: Callable[[Tensor], Tensor], v: Tensor) -> Tensor:
    """`mix(v)` of values [B H S V], where the mixing is a pattern [B H T S] that is never made.

    Where someone asks for `pattern`, it is what becomes of unit values, and then mixes v itself.
    """
    if not wanted("pattern"):
        return unseen(mix, v)
    unit = torch.eye(v.shape[2], dtype=v.dtype, device=v.device)
    pattern = unseen(mix, unit.expand(*v.shape[:2], -1, -1))
    return noted(pattern=pattern)[0] @ v
