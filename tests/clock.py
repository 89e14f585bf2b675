"""How long something takes, as far as a busy machine lets one see."""

from __future__ import annotations

import time
from collections.abc import Callable


def within(seconds: float, work: Callable[[], object], tries: int = 3) -> bool:
    """Whether `work` takes less processor time, in the best of a few runs.

    The clock on the wall counts the neighbours' work as well. So does a processor's when they share
    its caches, but not in every run alike.
    """
    for _ in range(tries):
        start = time.process_time()
        work()
        if time.process_time() - start < seconds:
            return True
    return False
