"""Operations of a training step in one pass over memory each, forward and backward, in C++.

Each comes with the plain function that it stands for, which is also differentiated where a second
derivative is asked for. `native.learns` says where they may be used.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from blocks.ops import native

__all__: list[str] = []

Plain = Callable[..., Tensor]
Act = Callable[[Tensor], Tensor]
# a and b of activations v σ(a v + b v³); those with a function of their own are added by its file.
GATES: dict[Act, tuple[float, float]] = {F.silu: (1.0, 0.0)}
WIDE = 32  # channels of a head, of which the attention's kernel reads a whole number


def rms_norm(x: Tensor, weight: Tensor, eps: float, offset: float, early: bool) -> Tensor:
    """x / √(mean(x²) + eps) · (offset + weight); `early` rounds the quotient before its product."""

    def plain(x: Tensor, weight: Tensor) -> Tensor:
        y = F.rms_norm(x.float(), x.shape[-1:], eps=eps)
        if early:
            return (weight + offset) * y.to(x.dtype)
        return (y * (weight.float() + offset)).to(x.dtype)

    def run(x: Tensor, weight: Tensor) -> tuple[Tensor, ...]:
        rows = x.reshape(-1, x.shape[-1]).contiguous()
        return (torch.ops.blocks.norm(rows, weight, eps, offset, early).view(x.shape),)

    def back(pull: Tensor, x: Tensor, weight: Tensor) -> Any:
        pulled = pull.contiguous(), x.contiguous(), weight
        return torch.ops.blocks.learn_norm_backward(*pulled, eps, offset)

    return _learnt(plain, run, back, x, weight)


def gated(act: Act, gate: Tensor, up: Tensor) -> Tensor:
    """act(gate) · up."""
    if not native.learns(gate, up) or act not in GATES:
        return act(gate) * up
    factors = GATES[act]

    def run(gate: Tensor, up: Tensor) -> tuple[Tensor, ...]:
        return (torch.ops.blocks.learn_gated(gate.contiguous(), up.contiguous(), *factors),)

    def back(pull: Tensor, *given: Tensor) -> Any:
        rows = (t.contiguous() for t in (pull, *given))
        return torch.ops.blocks.learn_gated_backward(*rows, *factors)

    return _learnt(lambda gate, up: act(gate) * up, run, back, gate, up)


def attends(q: Tensor, k: Tensor, v: Tensor) -> bool:
    """Whether `causal_attention` is there for these, of which `native.learns` is true."""
    heads = all(t.dtype == torch.bfloat16 and t.shape[-1] % WIDE == 0 for t in (q, k, v))
    return heads and q.shape[2] == k.shape[2] > 0 and torch.ops.blocks.attends()


def causal_attention(plain: Plain, q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
    """softmax(q kᵀ · scale) v over grouped heads, a query seeing the keys up to its own."""

    def run(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, ...]:
        y, logs = torch.ops.blocks.learn_attention(q, k, v, scale)
        return y, y, logs

    def back(pull: Tensor, *kept: Tensor) -> Any:
        straight = pull if pull.stride(-1) == 1 else pull.contiguous()
        return torch.ops.blocks.learn_attention_backward(straight, *kept, scale)

    return _learnt(plain, run, back, q, k, v)


def _learnt(plain: Plain, run: Any, back: Any, *given: Tensor) -> Tensor:
    return _Learnt.apply(plain, run, back, *given)  # pyright: ignore[reportReturnType]  # autograd.Function is untyped


class _Learnt(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, plain: Plain, run: Any, back: Any, *given: Tensor) -> Tensor:
        """`run` gives the result, and what `back` is told beside the pull and the given tensors."""
        y, *kept = run(*given)
        ctx.save_for_backward(*given, *kept)
        ctx.plain, ctx.back, ctx.given = plain, back, len(given)
        return y

    @staticmethod
    def backward(ctx: Any, pull: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]  # one output
        saved = ctx.saved_tensors
        if not torch.is_grad_enabled():
            return None, None, None, *ctx.back(pull, *saved)
        given, wanted = saved[: ctx.given], ctx.needs_input_grad[3:]
        leaves = [t for t, want in zip(given, wanted, strict=True) if want]
        found = torch.autograd.grad(ctx.plain(*given), leaves, pull, create_graph=True)
        each = iter(found)
        return None, None, None, *(next(each) if want else None for want in wanted)
