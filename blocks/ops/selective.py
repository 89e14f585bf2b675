"""Selective scans: linear recurrences whose decays and inputs come from every token anew."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from blocks.ops.once import once

__all__: list[str] = []

_CACHED = 1 << 19  # numbers of a chunk's states: with their decays they stay in a core's cache
_LONGEST = 64
_LAID = torch.contiguous_format


def selective_loop(
    x: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, start: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The recurrence as it is written, one token after another; arguments as `selective_scan`'s."""
    h = x.new_zeros(len(x), *a.shape) if start is None else start
    y = []
    for t in range(x.shape[1]):
        decay = torch.exp(dt[:, t, None] * a)  # B N D
        h = decay * h + (dt * x)[:, t, None] * b[:, t, :, None]  # B N D
        y.append((h * c[:, t, :, None]).sum(1))  # B D
    return torch.stack(y, 1), h


def selective_scan(
    x: Tensor,
    dt: Tensor,
    a: Tensor,
    b: Tensor,
    c: Tensor,
    start: Tensor | None = None,
    *,
    chunk: int | None = None,
) -> tuple[Tensor, Tensor]:
    r"""h_t = exp(dt_t a) ⊙ h_{t−1} + b_t ⊗ (dt_t x_t),    y_t = c_t h_t

    Gu and Dao, "Mamba", 2023, arXiv:2312.00752, section 3. All decays of a chunk of tokens are
    found at once, then its states one after another, then all its outputs: what lies between never
    leaves the cache. Gradients find the states of a chunk anew, so that only the one before each
    chunk is kept.

    B batch, T tokens, D channels, N numbers a channel remembers.

    Args:
        x: inputs [B T D], in at least float32, as all arguments.
        dt: how long a token lasts, [B T D]; 0 leaves the state as it was.
        a: how fast the memory fades, [N D], below zero.
        b: how tokens are written, [B T N].
        c: how they are read, [B T N].
        start: [B N D], the state before the first token; zeros by default.
        chunk: tokens of a chunk. It changes the speed, not the result.

    Returns:
        y [B T D] and the last state [B N D].
    """
    start = x.new_zeros(len(x), *a.shape) if start is None else start
    if chunk is None:
        chunk = min(_LONGEST, max(1, _CACHED // max(1, start.numel())))
    given = (x, dt, a, b, c, start)
    learns = torch.is_grad_enabled() and any(part.requires_grad for part in given)
    # A graph holds the scan as one node: taken apart it would be as long as the text.
    run = _scan if learns or torch.compiler.is_compiling() else _forward
    y, last, _ = run(*given, min(chunk, x.shape[1]), learns)
    return y, last


class _Chunk:
    """Some tokens' decays and states, found in place: memory for `size` tokens, used again."""

    def __init__(self, size: int, a: Tensor, start: Tensor):
        self.a = a * math.log2(math.e)  # powers of two are three times as quick as those of e
        self.decays, self.states = start.new_empty(2, size, *start.shape)
        self.steps = tuple(zip(self.decays.unbind(), self.states.unbind(), strict=True))

    def run(self, v: Tensor, dt: Tensor, b: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
        """v, dt [c B D], b [c B N] -> decays and states [c B N D]."""
        decays, states = self.decays[: len(v)], self.states[: len(v)]
        torch.mul(dt[:, :, None], self.a, out=decays).exp2_()
        torch.mul(v[:, :, None], b[..., None], out=states)
        for decay, state in self.steps[: len(v)]:
            before = state.addcmul_(decay, before)
        return decays, states


def _forward(
    x: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, start: Tensor, size: int, kept: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """y, the last state, and where it is kept, the one before each chunk of `size` tokens."""
    y, starts = _empty(x, start, size, kept)
    chunk, last = _Chunk(size, a, start), start
    first = (part.transpose(0, 1).split(size) for part in (x * dt, dt, b, c, y))  # T B …
    for n, (v, dt_, b_, c_, y_) in enumerate(zip(*first, strict=True)):
        if kept:
            starts[n] = last
        _, states = chunk.run(v, dt_, b_, last)
        last = states[-1].clone()
        torch.matmul(c_[:, :, None], states, out=y_[:, :, None])
    return y, last, starts


def _backward(
    gy: Tensor,
    gh: Tensor,
    x: Tensor,
    dt: Tensor,
    a: Tensor,
    b: Tensor,
    c: Tensor,
    starts: Tensor,
    size: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The gradients of x, dt, a, b, c and start."""
    first = tuple(part.transpose(0, 1) for part in (x, x * dt, dt, b, c, gy))
    found = [torch.empty_like(part, memory_format=_LAID) for part in (x, dt, b, c)]  # v, dt, b, c
    ga, chunk = torch.zeros_like(a), _Chunk(size, a, starts[0])
    parts = [part.split(size) for part in (*first, *(part.transpose(0, 1) for part in found))]
    for n in reversed(range(len(starts))):
        _, v, dt_, b_, c_, gy_, gv, gdt, gb, gc = (part[n] for part in parts)
        decays, states = chunk.run(v, dt_, b_, starts[n])
        gc.copy_(torch.matmul(states, gy_[..., None])[..., 0])
        into = c_[..., None] * gy_[:, :, None]  # c B N D, the gradient of each state
        for t in reversed(range(len(v))):
            gh = into[t].add_(gh)
            gh = decays[t] * gh
        gb.copy_(torch.matmul(into, v[..., None])[..., 0])
        gv.copy_(torch.matmul(b_[:, :, None], into)[:, :, 0])
        # d / d(dt a) of exp(dt a) h
        into[1:] *= states[:-1]
        into[0] *= starts[n]
        into *= decays
        gdt.copy_((into * a).sum(2))
        ga += (into * dt_[:, :, None]).sum((0, 1))
    gv, gdt, gb, gc = found
    return gv * dt, gdt + gv * x, ga, gb, gc, gh


def _empty(x: Tensor, start: Tensor, size: int, kept: bool) -> tuple[Tensor, Tensor]:
    """Memory for the outputs and the kept states."""
    chunks = -(-x.shape[1] // size) if kept else 0
    return torch.empty_like(x, memory_format=_LAID), start.new_empty(chunks, *start.shape)


_scan = torch.library.custom_op("blocks::selective_scan", _forward, mutates_args=())
_unscan = torch.library.custom_op("blocks::selective_scan_backward", _backward, mutates_args=())


@_scan.register_fake
def _(x: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, start: Tensor, *how: Any) -> Any:
    y, starts = _empty(x, start, *how)
    return y, torch.empty_like(start, memory_format=_LAID), starts


@_unscan.register_fake
def _(
    gy: Tensor, gh: Tensor, x: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, *_: Any
) -> Any:
    return tuple(torch.empty_like(part, memory_format=_LAID) for part in (x, dt, a, b, c, gh))


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    *given, _, ctx.size, _ = inputs
    ctx.save_for_backward(*given, output[2])


@once("selective_scan")
def _gradient(ctx: Any, gy: Tensor, gh: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
    return (*_unscan(gy, gh, *ctx.saved_tensors, ctx.size), None, None)


_scan.register_autograd(_gradient, setup_context=_keep)
