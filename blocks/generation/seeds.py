"""Where random numbers come from."""

from __future__ import annotations

import torch

__all__: list[str] = []


def seeded(seed: int | None, device: torch.device) -> torch.Generator | None:
    """A generator of its own for a seed; None, which is the program's, where there is none."""
    return None if seed is None else torch.Generator(device).manual_seed(seed)
