"""Linear recurrences h_t = a_t ⊙ h_{t−1} + b_t: a loop, and the same a chunk of steps at a time."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from blocks.errors import SpecError

__all__ = ["scan"]


def scan_loop(a: Tensor, b: Tensor, start: Tensor | None = None) -> Tensor:
    """The recurrence as it is written, one step after another; arguments as those of `scan`."""
    h = torch.zeros_like(b[:, 0]) if start is None else start
    found = []
    for t in range(b.shape[1]):
        h = a[:, t] * h + b[:, t]
        found.append(h)
    return torch.stack(found, 1)


def scan(a: Tensor, b: Tensor, start: Tensor | None = None, *, chunk: int | None = None) -> Tensor:
    r"""h_t = a_t ⊙ h_{t−1} + b_t,    h_0 = start

    Chunks of C steps run side by side, each from zero; what the chunks before left is carried into
    them by the products of their decays: C + T / C steps one after another instead of T, and no
    logarithm, so that a decay of zero is as good as any. Blelloch, "Prefix sums and their
    applications", 1990; gradients are the same recurrence backwards.

    Args:
        a: decays [B T …], real or complex; sizes of 1 after T are spread over b's.
        b: inputs [B T …].
        start: [B …], the state before the first step; zeros by default.
        chunk: steps C of a chunk; √T by default. It changes the speed, not the result.

    Returns:
        All states [B T …].

    Errors:
        SpecError: shapes that don't fit, no step, or a chunk below 1.

    Example:
        >>> import torch
        >>> from blocks import scan
        >>> scan(torch.full((1, 3, 1), 0.5), torch.ones(1, 3, 1)).flatten()
        tensor([1.0000, 1.5000, 1.7500])
    """
    fits = a.dim() == b.dim() >= 2 and a.shape[:2] == b.shape[:2]
    if not fits or any(n not in (1, m) for n, m in zip(a.shape[2:], b.shape[2:], strict=True)):
        raise SpecError(f"decays {list(a.shape)} don't fit inputs {list(b.shape)}", field="a")
    if start is not None and start.shape != (b.shape[0], *b.shape[2:]):
        reason = f"a start of {list(start.shape)} doesn't fit inputs {list(b.shape)}"
        raise SpecError(reason, field="start")
    if b.shape[1] < 1 or (chunk is not None and chunk < 1):
        raise SpecError("at least one step, in chunks of at least one, is needed", field="chunk")
    start = torch.zeros_like(b[:, 0]) if start is None else start
    kind = torch.promote_types(torch.promote_types(a.dtype, b.dtype), start.dtype)
    a, b, start = (part.to(kind) for part in (a, b, start))
    chunk = chunk or math.isqrt(b.shape[1] - 1) + 1
    learns = a.requires_grad or b.requires_grad or start.requires_grad
    if not (learns and torch.is_grad_enabled()):
        return _chunked(a, b, start, chunk)
    return _Scan.apply(a, b, start, chunk)  # pyright: ignore[reportReturnType]  # autograd.Function is untyped


class _Scan(torch.autograd.Function):
    """Keeps its inputs and its answer alone, whatever the number of chunks."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, start: Tensor, chunk: int) -> Tensor:
        h = _chunked(a, b, start, chunk)
        ctx.save_for_backward(a, start, h)
        ctx.chunk = chunk
        return h

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        a, start, h = ctx.saved_tensors
        (grad,) = grads
        after = a.conj()[:, 1:].flip(1)
        after = torch.cat([torch.zeros_like(a[:, :1]), after], 1)
        db = scan(after, grad.flip(1), chunk=ctx.chunk).flip(1)
        before = torch.cat([start[:, None], h[:, :-1]], 1)
        da = (db * before.conj()).sum_to_size(a.shape)
        return da, db, (a.conj()[:, 0] * db[:, 0]).sum_to_size(start.shape), None


def _chunked(a: Tensor, b: Tensor, start: Tensor, chunk: int) -> Tensor:
    """[B T …] of a, b -> the states."""
    size = b.shape[1]
    chunk = min(chunk, size)
    short = -size % chunk
    if short:  # steps that change nothing
        a = torch.cat([a, torch.ones_like(a[:, :1]).expand(-1, short, *a.shape[2:])], 1)
        b = torch.cat([b, torch.zeros_like(b[:, :1]).expand(-1, short, *b.shape[2:])], 1)
    a, b = a.unflatten(1, (-1, chunk)), b.unflatten(1, (-1, chunk))  # B G C …
    decay, h = a[:, :, 0], b[:, :, 0]  # B G …
    decays, hs = [decay], [h]
    for c in range(1, chunk):
        decay, h = a[:, :, c] * decay, torch.addcmul(b[:, :, c], a[:, :, c], h)
        decays.append(decay)
        hs.append(h)
    last, carried = start, []
    for g in range(b.shape[1]):
        carried.append(last)
        last = torch.addcmul(h[:, g], decay[:, g], last)
    before = torch.stack(carried, 1)[:, :, None]  # B G 1 …
    whole = torch.addcmul(torch.stack(hs, 2), torch.stack(decays, 2), before)  # B G C …
    return whole.flatten(1, 2)[:, :size]
