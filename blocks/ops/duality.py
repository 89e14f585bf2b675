"""State-space duality: one sum as a recurrence, as one matrix, and a chunk of tokens at a time."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from blocks.errors import SpecError

__all__ = ["ssd"]

_SIDE_BY_SIDE = 8  # chunks: few enough for a cache, many enough to keep threads busy


def ssd_loop(
    x: Tensor, decay: Tensor, b: Tensor, c: Tensor, start: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The recurrence as it is written, one token after another; arguments as those of `ssd`."""
    share = x.shape[2] // b.shape[2]
    b, c = b.repeat_interleave(share, 2), c.repeat_interleave(share, 2)  # B T H N
    h = _zeros(x, b) if start is None else start
    found = []
    for t in range(x.shape[1]):
        h = decay[:, t, :, None, None].exp() * h + b[:, t, :, :, None] * x[:, t, :, None]
        found.append((c[:, t, :, None] @ h)[:, :, 0])  # B H P
    return torch.stack(found, 1), h


def ssd_matrix(x: Tensor, decay: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """The dual: y = (L ⊙ C Bᵀ) x, attention without softmax whose mask L holds the decays."""
    share = x.shape[2] // b.shape[2]
    b, c = (part.repeat_interleave(share, 2).transpose(1, 2) for part in (b, c))  # B H T N
    mixed = _decays(_sums(decay), x.dtype) * (c @ b.transpose(-1, -2))  # B H T T
    return (mixed @ x.transpose(1, 2)).transpose(1, 2)


def ssd(
    x: Tensor,
    decay: Tensor,
    b: Tensor,
    c: Tensor,
    start: Tensor | None = None,
    *,
    chunk: int = 64,
) -> tuple[Tensor, Tensor]:
    r"""h_t = exp(decay_t) h_{t−1} + b_t x_tᵀ,    y_t = h_tᵀ c_t

    Inside a chunk the tokens meet in one matrix, as in attention; from chunk to chunk the state
    goes on, as in a recurrence. Dao and Gu, "Transformers are SSMs", 2024, arXiv:2405.21060,
    section 6.

    Args:
        x: [B T H P], what is written.
        decay: [B T H], not above zero; 0 keeps all, −∞ nothing.
        b: [B T G N], where it is written; H / G heads share a group.
        c: [B T G N], where is read.
        start: [B H N P], the state before the first token; zeros by default.
        chunk: tokens of a chunk. It changes the speed, not the result.

    Returns:
        y [B T H P] and the state after the last token.

    Errors:
        SpecError: shapes that don't fit, no token, or a chunk below 1.

    Example:
        >>> import torch
        >>> from blocks import ssd
        >>> one = torch.ones(1, 3, 1, 1)
        >>> ssd(one, torch.full((1, 3, 1), 0.5).log(), one, one)[0].flatten()
        tensor([1.0000, 1.5000, 1.7500])
    """
    _check(x, decay, b, c, start, chunk)
    if x.shape[1] == 1:
        return ssd_loop(x, decay, b, c, start)
    h = _zeros(x, b) if start is None else start
    h = h.unflatten(1, (b.shape[2], -1)).transpose(2, 3)  # B G N K P
    found = []
    span = min(chunk, x.shape[1]) * _SIDE_BY_SIDE
    splits = (one.split(span, 1) for one in (x, decay, b, c))
    for u, a, key, query in zip(*splits, strict=True):
        y, h = _some_chunks(u, a, key, query, h, min(chunk, u.shape[1]))
        found.append(y)
    return torch.cat(found, 1), h.transpose(2, 3).flatten(1, 2)


def _some_chunks(
    x: Tensor, decay: Tensor, b: Tensor, c: Tensor, h: Tensor, chunk: int
) -> tuple[Tensor, Tensor]:
    """`ssd` of M · C tokens after a state [B G N K P]; heads of a group lie side by side."""
    length, groups, size = x.shape[1], (h.shape[1], h.shape[3]), h.shape[3:]
    x, b, c = (F.pad(one, (0, 0, 0, 0, 0, -length % chunk)) for one in (x, b, c))
    decay = F.pad(decay, (0, 0, 0, -length % chunk))  # nothing is written, and all is kept
    x, decay, b, c = (one.unflatten(1, (-1, chunk)) for one in (x, decay, b, c))
    total = _sums(decay)  # B M H C
    last, here = total[..., -1:], total.exp().to(x.dtype).transpose(2, 3)
    left = (last - total).exp().to(x.dtype).transpose(2, 3)  # B M C H
    b, c = b.permute(0, 1, 3, 4, 2), c.transpose(2, 3)  # B M G N C, B M G C N
    mixed = _decays(total, x.dtype).unflatten(2, groups) * (c @ b)[:, :, :, None]
    inside = (mixed.flatten(2, 3) @ x.transpose(2, 3)).transpose(2, 3)  # B M C H P
    kept = (x * left[..., None]).unflatten(3, groups).transpose(2, 3)  # B M G C K P
    new = (b @ kept.flatten(4)).unflatten(4, size)  # B M G N K P
    whole, starts = here[:, :, -1].unflatten(2, (groups[0], 1, groups[1])), []
    for m in range(new.shape[1]):
        starts.append(h)
        h = torch.addcmul(new[:, m], h, whole[:, m, ..., None])
    before = (c @ torch.stack(starts, 1).flatten(4)).unflatten(4, size)  # B M G C K P
    before = before.transpose(2, 3).flatten(3, 4)  # B M C H P
    y = torch.addcmul(inside, before, here[..., None])
    return y.flatten(1, 2)[:, :length], h


def _sums(decay: Tensor) -> Tensor:
    """[… T H] -> [… H T], exact enough that the difference of two large sums is a decay.

    Nothing is left below −1000; what is far below would take the digits of the decays after it.
    """
    wide = torch.float32 if decay.device.type == "mps" else torch.float64  # all that it has
    return decay.transpose(-1, -2).to(wide).clamp(min=-1000).cumsum(-1)


def _decays(total: Tensor, dtype: torch.dtype) -> Tensor:
    """Sums of decays [… C] -> [… C C]: what is left at token i of what was written at j ≤ i."""
    size = total.shape[-1]
    later = torch.ones(size, size, dtype=torch.bool, device=total.device).triu(1)
    between = total[..., :, None] - total[..., None, :]
    return between.masked_fill_(later, -torch.inf).to(dtype).exp_()


def _zeros(x: Tensor, b: Tensor) -> Tensor:
    return x.new_zeros(x.shape[0], x.shape[2], b.shape[3], x.shape[3])


def _check(
    x: Tensor, decay: Tensor, b: Tensor, c: Tensor, start: Tensor | None, chunk: int
) -> None:
    shared = x.dim() == b.dim() == 4 and x.shape[:2] == b.shape[:2] and x.shape[2] % b.shape[2] == 0
    if not shared or b.shape != c.shape or decay.shape != x.shape[:3]:
        shapes = ", ".join(str(list(part.shape)) for part in (x, decay, b, c))
        raise SpecError(f"x, decay, b and c don't fit: {shapes}", field="x")
    whole = (x.shape[0], x.shape[2], b.shape[3], x.shape[3])
    if start is not None and start.shape != whole:
        reason = f"a start of {list(start.shape)} is none of {list(whole)}"
        raise SpecError(reason, field="start")
    if x.shape[1] < 1 or chunk < 1:
        raise SpecError("at least one token, in chunks of at least one, is needed", field="chunk")
