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

    What torch's `once_differentiable` gives is tied to nothing: where a second derivative has other
    paths to what it is of, it is quietly found without this one.
    """

    def decorate(backward: Backward) -> Backward:
        @wraps(backward)
        def checked(ctx: Any, *grads: Tensor) -> Sequence[Tensor | None]:
            with torch.no_grad():
                found = tuple(backward(ctx, *grads))
            if not torch.is_grad_enabled():  # nobody asks for more
                return found
            known = [g for g in found if g is not None]
            paths = [t for t in (*ctx.saved_tensors, *grads) if t is not None and t.requires_grad]
            kept = iter(_Last.apply(name, len(known), *known, *paths))  # pyright: ignore[reportArgumentType]  # autograd.Function is untyped
            return tuple(None if g is None else next(kept) for g in found)

        return checked

    return decorate


class _Last(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, name: str, count: int, *given: Tensor) -> tuple[Tensor, ...]:
        ctx.name = name
        return tuple(g.view_as(g) for g in given[:count])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        raise BlocksError(f"{ctx.name} has no second derivative", hint="differentiate it once")
