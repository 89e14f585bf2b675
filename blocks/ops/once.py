"""Gradients written by hand, which have no gradient of their own and say so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import torch
from torch import Tensor

from blocks.errors import BlocksError

__all__: list[str] = []

Backward = Callable[..., Sequence[Tensor | None]]


def once(name: str) -> Callable[[Backward], Backward]:
    """Makes of a `backward` one whose gradients refuse to be differentiated again.

    torch's `once_differentiable` lets a second derivative pass as zero wherever the first one does
    not depend on a gradient that itself needs one, as that of a plain sum.
    """

    def decorate(backward: Backward) -> Backward:
        @wraps(backward)
        def checked(ctx: Any, *grads: Tensor) -> Sequence[Tensor | None]:
            with torch.no_grad():
                found = tuple(backward(ctx, *grads))
            if not torch.is_grad_enabled():  # nobody asks for more
                return found
            asked = torch.ones((), requires_grad=True)
            kept = iter(_Last.apply(name, asked, *(g for g in found if g is not None)))  # pyright: ignore[reportArgumentType]  # autograd.Function is untyped
            return tuple(None if g is None else next(kept) for g in found)

        return checked

    return decorate


class _Last(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, name: str, asked: Tensor, *grads: Tensor) -> tuple[Tensor, ...]:
        ctx.name = name
        return tuple(g.view_as(g) for g in grads)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        raise BlocksError(f"{ctx.name} has no second derivative", hint="differentiate it once")
