"""RWKV's weighted mean of all values so far: a loop, and the same a chunk of tokens at a time."""

from __future__ import annotations

import torch
from torch import Tensor

from blocks.ops.recurrence import scan

__all__: list[str] = []

# Sums of exp(k − peak) v and of exp(k − peak), and the peak, each [B C].
Sums = tuple[Tensor, Tensor, Tensor]


def wkv_loop(k: Tensor, v: Tensor, fade: Tensor, bonus: Tensor, sums: Sums) -> tuple[Tensor, Sums]:
    r"""For each channel, one token after another:

        y_t = (Σ_{i<t} exp(k_i − (t−1−i) w) v_i + exp(u + k_t) v_t) / (the same without v)

    Args:
        k, v: [B T C].
        fade: w [C], above 0.
        bonus: u [C].
        sums: what the tokens before left.

    Returns:
        y [B T C] and the sums that are left.
    """
    over, under, peak = sums
    found = []
    for t in range(k.shape[1]):
        found.append(_read(k[:, t], v[:, t], bonus, (over, under, peak)))
        top = torch.maximum(peak - fade, k[:, t]).detach()  # y is the same from any
        kept, new = (peak - top - fade).exp(), (k[:, t] - top).exp()
        over, under, peak = kept * over + new * v[:, t], kept * under + new, top
    return torch.stack(found, 1), (over, under, peak)


def wkv(
    k: Tensor, v: Tensor, fade: Tensor, bonus: Tensor, sums: Sums, lengths: Tensor | None = None
) -> tuple[Tensor, Sums]:
    r"""The same, by two scans; arguments and result as those of `wkv_loop`.

    The peak that sums are counted from is the largest exponent so far, max_i k_i − (t − i) w,
    which a running maximum of k_i + i w finds for all tokens at once. It need not be exact and
    has no gradient, since y is the same from whichever peak one counts.

    Args:
        lengths: [B], how many tokens of each row count; None is all.
    """
    if k.shape[1] == 1 and lengths is None:
        return wkv_loop(k, v, fade, bonus, sums)
    over, under, peak = sums
    with torch.no_grad():
        steps = torch.arange(k.shape[1] + 1, device=k.device, dtype=k.dtype)[:, None] * fade
        peaks = torch.cat([peak[:, None], k], 1) + steps
        peaks = peaks.cummax(1).values - steps  # B T+1 C
    kept = (peaks[:, :-1] - peaks[:, 1:] - fade).exp()  # a small fade would be lost in a peak
    new = (k - peaks[:, 1:]).exp()
    start = torch.stack([over, under], -1)
    every = scan(kept[..., None], torch.stack([new * v, new], -1), start)  # B T C 2
    every = torch.cat([start[:, None], every], 1)  # B T+1 C 2
    over, under = every.unbind(-1)
    y = _read(k, v, bonus, (over[:, :-1], under[:, :-1], peaks[:, :-1]))
    if lengths is None:
        # Views would keep the sums after every token.
        return y, (over[:, -1].clone(), under[:, -1].clone(), peaks[:, -1].clone())
    row = torch.arange(len(k), device=k.device)
    return y, (over[row, lengths], under[row, lengths], peaks[row, lengths])


def _read(k: Tensor, v: Tensor, bonus: Tensor, before: Sums) -> Tensor:
    """What tokens find, given the sums before each."""
    over, under, peak = before
    own = k + bonus
    top = torch.maximum(peak, own).detach()
    kept, new = (peak - top).exp(), (own - top).exp()
    return (kept * over + new * v) / (kept * under + new)
