"""A gradient in closed form, which keeps and copies less than that of the plain formula."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from blocks.ops import native

__all__: list[str] = []


def learns(x: Tensor) -> bool:
    """Whether a gradient is wanted here, and no compiler finds a better way."""
    return torch.is_grad_enabled() and x.requires_grad and not torch.compiler.is_compiling()


def turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Channels i and i + R/2 of x [B H T R], turned by an angle [B 1 T R/2], without cut copies."""
    quick = native.learns(x, cos, sin)
    return _Turned.apply(x, cos, sin, quick)  # pyright: ignore[reportReturnType]  # autograd.Function is untyped


class _Turned(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor, quick: bool) -> Tensor:
        ctx.save_for_backward(cos, sin)
        ctx.quick = quick
        if quick:
            return _by_kernel(x, cos, sin)
        y = torch.empty_like(x)
        (a, b), (c, d) = x.chunk(2, -1), y.chunk(2, -1)
        torch.mul(a, cos, out=c).sub_(b * sin)
        torch.mul(b, cos, out=d).add_(a * sin)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]  # one output
        cos, sin = ctx.saved_tensors
        if ctx.quick and grad.stride(-1) == 1 and not torch.is_grad_enabled():
            pulled = _by_kernel(grad, cos, -sin)
        else:
            pulled = turned(grad, cos, -sin)
        return pulled, None, None, None


def _by_kernel(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    angles = cos[:, 0].contiguous(), sin[:, 0].contiguous()  # B|1 T R/2
    return torch.ops.blocks.turn(x, *angles, False)
