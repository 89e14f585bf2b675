"""Gradients in closed form, and those of the plain formula where they are differentiated again."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__: list[str] = []


def learns(*given: Tensor) -> bool:
    """Whether a gradient is wanted here, and no compiler finds a better one."""
    wanted = torch.is_grad_enabled() and any(t.requires_grad for t in given)
    return wanted and not torch.compiler.is_compiling()


def rms_norm(x: Tensor, weight: Tensor, eps: float, offset: float) -> Tensor:
    """(offset + w) · lo(x / rms(x)): RMSNorm's cast `before`, which keeps x and rms(x) alone."""
    return _RMSNorm.apply(x, weight, eps, offset)  # pyright: ignore[reportReturnType]  # autograd.Function is untyped


def _plain_rms_norm(x: Tensor, weight: Tensor, eps: float, offset: float) -> tuple[Tensor, Tensor]:
    """The same by the formula, and 1 / rms(x)."""
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    size = (wide.square().mean(-1, keepdim=True) + eps).rsqrt()
    return (weight + offset if offset else weight) * (wide * size).to(x.dtype), size


class _RMSNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float, offset: float) -> Tensor:
        y, size = _plain_rms_norm(x, weight, eps, offset)
        ctx.save_for_backward(x, weight, size)
        ctx.how = eps, offset
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]  # one output
        x, weight, size = ctx.saved_tensors
        if torch.is_grad_enabled():
            y = _plain_rms_norm(x, weight, *ctx.how)[0]
            return *_again(y, (x, weight), grad, ctx.needs_input_grad), None, None
        scale = weight + ctx.how[1] if ctx.how[1] else weight
        unit = x * size  # ... D
        to_weight = None
        if ctx.needs_input_grad[1]:
            to_weight = (grad * unit.to(x.dtype)).flatten(0, -2).sum(0)
        if not ctx.needs_input_grad[0]:
            return None, to_weight, None, None
        pull = (grad * scale).to(unit.dtype)
        along = (pull * unit).mean(-1, keepdim=True)
        return pull.addcmul_(unit, along, value=-1).mul_(size).to(x.dtype), to_weight, None, None


def turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Channels i and i + R/2 of x [B H T R], turned by an angle [B 1 T R/2], without cut copies."""
    return _Turned.apply(x, cos, sin)  # pyright: ignore[reportReturnType]  # autograd.Function is untyped


class _Turned(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        y = torch.empty_like(x)
        (a, b), (c, d) = x.chunk(2, -1), y.chunk(2, -1)
        torch.mul(a, cos, out=c).sub_(b * sin)
        torch.mul(b, cos, out=d).add_(a * sin)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]  # one output
        cos, sin = ctx.saved_tensors
        return turned(grad, cos, -sin), None, None


def _again(
    y: Tensor, given: tuple[Tensor, ...], grad: Tensor, wanted: tuple[bool, ...]
) -> list[Tensor | None]:
    """The gradients of a plain formula, with a graph of their own."""
    some = [t for t, w in zip(given, wanted, strict=False) if w]
    found = iter(torch.autograd.grad(y, some, grad, create_graph=True))
    return [next(found) if w else None for _, w in zip(given, wanted, strict=False)]
