"""How long something takes, as far as a busy machine lets one see.

The clock on the wall counts the neighbours' work as well. So does a processor's when they share its
caches, or when Python collects the garbage of all tests before, but not in every run alike; and a
slower processor has its own measure.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from functools import cache
from typing import TypeVar

Result = TypeVar("Result")

_USUAL = 0.016  # seconds that `_count` takes of the processor for which the figures were set


def within(seconds: float, work: Callable[[], object], tries: int = 3) -> bool:
    """Whether `work` takes less processor time, in the best of a few runs."""
    return any(spent(work) < seconds * slower() for _ in range(tries))


def soon(seconds: float, work: Callable[[], Result]) -> Result:
    """What `work` returns, which must not take longer; one that does is tried again."""
    start = time.process_time()
    result = work()
    assert time.process_time() - start < seconds or within(seconds, work)
    return result


def spent(work: Callable[[], object]) -> float:
    """Seconds of processor time."""
    collected = gc.isenabled()
    gc.disable()
    try:
        start = time.process_time()
        work()
        return time.process_time() - start
    finally:
        if collected:
            gc.enable()


@cache
def slower() -> float:
    """How many times as long as the processor for which the figures were set, at least 1."""
    return max(1.0, min(spent(_count) for _ in range(5)) / _USUAL)


def _count() -> int:
    total = 0
    for number in range(300_000):
        total += number * number % 7
    return total
