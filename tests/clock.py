"""How long something takes, as far as a busy machine lets one see."""

from __future__ import annotations

import time
from collections.abc import Callable

_USUAL = 0.016  # seconds that `_count` takes of the processor for which the figures were set


def within(seconds: float, work: Callable[[], object], tries: int = 3) -> bool:
    """Whether `work` takes less processor time, in the best of a few runs.

    The clock on the wall counts the neighbours' work as well. So does a processor's when they share
    its caches, but not in every run alike; and a slower processor has its own measure.
    """
    slower = max(1.0, min(spent(_count) for _ in range(3)) / _USUAL)
    return any(spent(work) < seconds * slower for _ in range(tries))


def spent(work: Callable[[], object]) -> float:
    """Seconds of processor time."""
    start = time.process_time()
    work()
    return time.process_time() - start


def _count() -> int:
    total = 0
    for number in range(300_000):
        total += number * number % 7
    return total
