"""What a call takes of the memory, as Linux tells it."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path


def beyond(call: Callable[[], object]) -> float:
    """MiB that are resident at most during a call, less what was there before."""
    ctypes.CDLL(None).malloc_trim(0)  # what is free goes back to the system
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak is forgotten
    call()
    return resident("VmHWM") - before


def resident(line: str) -> float:
    """MiB of this process: `VmRSS` now, `VmHWM` at most."""
    for found in Path("/proc/self/status").read_text().splitlines():
        if found.startswith(line):
            return int(found.split()[1]) / 1024
    raise RuntimeError(f"no {line} in /proc/self/status")
