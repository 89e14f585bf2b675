"""What linear attention writes and reads: one matrix a head, and how much of it there is."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from blocks.ops.duality import ssd
from blocks.state import Content

__all__ = ["LinearState"]


@dataclass
class LinearState(Content):
    """What was written under each feature, [B K F V]; behind it may be how much that was."""

    timeless = True
    wide = ("memory",)
    memory: Tensor


def remembered(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    bare: tuple[Tensor, Tensor] | None,
    decay: Tensor,
    real: Tensor | None,
    start: Tensor | None,
    eps: float | None,
    chunk: int,
) -> tuple[Tensor, Tensor]:
    """Σ_{s≤t} w_ts v_s / (Σ_{s≤t} w_ts + eps), where w_ts = (decays between) q_t·k_s.

    Args:
        q: [B T H F].
        k: [B T K F].
        v: [B T K V].
        bare: other q and k for the sum below; None where they are the same.
        decay: logarithms [K].
        real: [B T], which tokens count; None where all do.
        start: the memory before [B K F V + 1], in whose last channel is the sum below.
        eps: None where nothing is divided by, nor remembered for it.
        chunk: tokens of a chunk.

    Returns:
        [B T H V] and the memory after.
    """
    decay = decay.expand(v.shape[:3])
    v = v if eps is None else F.pad(v, (0, 1), value=1.0)
    if real is not None:
        counts = real[..., None]
        k, v = (torch.where(counts[..., None], part, 0.0) for part in (k, v))
        bare = None if bare is None else (bare[0], torch.where(counts[..., None], bare[1], 0.0))
        decay = torch.where(counts, decay, 0.0)
    if bare is None or eps is None:
        y, memory = _summed(q, k, v, decay, start, chunk)
    else:
        over, below = (None, None) if start is None else (start[..., :-1], start[..., -1:])
        y, memory = _summed(q, k, v[..., :-1], decay, over, chunk)
        last, often = _summed(*bare, v[..., -1:], decay, below, chunk)
        y, memory = torch.cat([y, last], -1), torch.cat([memory, often], -1)
    return y if eps is None else y[..., :-1] / (y[..., -1:] + eps), memory


def _summed(
    q: Tensor, k: Tensor, v: Tensor, decay: Tensor, start: Tensor | None, chunk: int
) -> tuple[Tensor, Tensor]:
    """The same, of one kind of q and k, with decays [B T K]; H / K heads of q share one of k."""
    share = q.shape[2] // k.shape[2]
    if share > 1:
        k, v, decay = (part.repeat_interleave(share, 2) for part in (k, v, decay))
        start = None if start is None else start.repeat_interleave(share, 1)
    y, memory = ssd(v, decay, k, q, start, chunk=chunk)
    return y, memory[:, ::share].contiguous()
