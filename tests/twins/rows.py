"""Texts by themselves: the tokens of a row without padding, or of a document of it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def texts(x: Tensor, real: Tensor | None, segments: Tensor | None) -> list[tuple[int, list[int]]]:
    """Of each text its row, and the places of its tokens."""
    found = []
    for b in range(x.shape[0]):
        at: dict[int, list[int]] = {}
        for t in range(x.shape[1]):
            if real is None or real[b, t]:
                at.setdefault(0 if segments is None else int(segments[b, t]), []).append(t)
        found += [(b, own) for own in at.values()]
    return found


def by_text(
    x: Tensor,
    width: int,
    run: Callable[[Tensor, int], Tensor],
    real: Tensor | None = None,
    segments: Tensor | None = None,
) -> Tensor:
    """[B T D] -> [B T width] of what `run` makes of each text [L D] of row b; zeros at padding."""
    y = torch.zeros(*x.shape[:2], width, dtype=x.dtype)
    for b, at in texts(x, real, segments):
        y[b, at] = run(x[b, at], b)
    return y
