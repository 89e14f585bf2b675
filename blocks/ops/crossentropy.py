"""Cross entropy of a vocabulary's logits, which are never all there at once."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from blocks.ops import native
from blocks.ops.once import once

__all__: list[str] = []

LOGITS = 2**25  # in their own dtype, that are there at once
SCORES = 2**19  # in float32, that are worked on at once: a processor's cache holds them
PIECE = 2**23  # that come of one product, where a kernel reads them: memory that can be used again
FEWEST = 128  # rows or tokens in a part: products with fewer are slow


def linear_cross_entropy(
    x: Tensor,
    weight: Tensor,
    targets: Tensor,
    *,
    bias: Tensor | None = None,
    scale: float = 1.0,
    cap: float | None = None,
) -> Tensor:
    r"""mean over n of −log softmax(s_n)[target_n],   s = (W x + b) · scale, or cap · tanh(s / cap)

    Some rows at a time are scored, and their share of each gradient is found before the next ones,
    so no product is made twice. Shares are summed in float32. torch's `F.linear_cross_entropy`
    does likewise, but on processors it is several times slower than the plain way, rounds the loss
    of 16-bit logits, and knows no cap.

    Args:
        x: [N D].
        weight: W [V D].
        targets: [N] int, each below V.
        bias: b [V].
        scale, cap: as of an `LMHead`.
    """
    kind = x.device.type
    if torch.is_autocast_enabled(kind):
        low = torch.get_autocast_dtype(kind)
        x, weight = x.to(low), weight.to(low)
        bias = None if bias is None else bias.to(low)
    quick = cap is None and native.learns(x, weight)
    given = (x, weight, bias, targets.contiguous())
    return _LinearCrossEntropy.apply(*given, scale, cap, torch.is_grad_enabled(), quick)  # pyright: ignore[reportReturnType]  # autograd.Function is untyped


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Any, targets: Tensor, *how: Any) -> Any:
        wanted = [need and how[2] for need in ctx.needs_input_grad[:3]]
        loss, ctx.sums = _summed(x, weight, bias, targets, wanted, how)
        ctx.wanted, ctx.how = wanted, how
        ctx.save_for_backward(x, weight, bias, targets)
        return loss / len(x)

    @staticmethod
    @once("linear_cross_entropy")
    def backward(ctx: Any, grad: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]  # one output
        x, weight, bias, targets = ctx.saved_tensors
        share = grad * (ctx.how[0] / len(x))
        # They are written over: who goes back a second time has them made again.
        sums = ctx.sums or _summed(x, weight, bias, targets, ctx.wanted, ctx.how)[1]
        ctx.sums = None
        found = (
            None if total is None else torch.mul(total, share, out=_room(total, like))
            for like, total in zip((x, weight, bias), sums, strict=True)
        )
        return *found, None, None, None, None, None


def _summed(
    x: Tensor, weight: Tensor, bias: Any, targets: Tensor, wanted: list[bool], how: Any
) -> tuple[Tensor, tuple[Tensor | None, ...]]:
    """N times the loss and what pulls at x, W and b, before the scale.

    Without 1/N and the pull from outside, which float16 might round to nothing.
    """
    scale, cap, _, quick = how
    loss = torch.zeros((), dtype=_wide(x), device=x.device)
    groups = list(_parts(len(x), LOGITS // len(weight)))
    to_x = torch.zeros_like(x, dtype=loss.dtype) if wanted[0] else None
    to_weight = _matrix(weight, len(groups)) if wanted[1] else None
    to_bias = torch.zeros_like(bias, dtype=loss.dtype) if wanted[2] else None
    for rows in groups:
        own, goal = x[rows], targets[rows]
        parts = list(_parts(len(weight), (PIECE if quick else SCORES) // len(own)))
        logits = [
            F.linear(own, weight[part], None if bias is None else bias[part]) for part in parts
        ]
        if quick:
            losses = torch.ops.blocks.cross_entropy(logits, goal, scale, any(wanted))
        else:
            losses = _pulled(logits, parts, goal, scale, cap, any(wanted))
        loss += losses.sum()
        if not any(wanted):
            continue
        for part, pull in zip(parts, logits, strict=True):
            if to_x is not None:
                _add(to_x[rows], pull, weight[part])
            if to_weight is not None and len(groups) == 1:
                torch.mm(pull.T, own, out=to_weight[part])
            elif to_weight is not None:
                _add(to_weight[part], pull.T, own)
            if to_bias is not None:
                to_bias[part] += pull.sum(0, dtype=to_bias.dtype)
    return loss, (to_x, to_weight, to_bias)


def _matrix(weight: Tensor, count: int) -> Tensor:
    """Room for the gradient of a matrix: the sum of `count`, in at least float32 if several."""
    if count == 1:
        return torch.empty_like(weight, memory_format=torch.contiguous_format)
    return torch.zeros_like(weight, dtype=_wide(weight))


def _pulled(
    logits: list[Tensor],
    parts: list[slice],
    targets: Tensor,
    scale: float,
    cap: float | None,
    learn: bool,
) -> Tensor:
    """Losses [n]; where `learn`, the logits become what pulls at them before the scale."""
    highest = torch.full(targets.shape, -math.inf, dtype=_wide(logits[0]), device=targets.device)
    total, hit = torch.zeros_like(highest), torch.zeros_like(highest)
    for part, logit in zip(parts, logits, strict=True):
        scores = _scores(logit, scale, cap)  # n v
        place, inside = _places(targets, part)
        hit += scores.gather(1, place)[:, 0] * inside
        new = torch.maximum(highest, scores.amax(1))
        power = scores.sub_(new[:, None]).exp_().sum(1)
        total, highest = total * (highest - new).exp() + power, new
    logs = highest + total.log()
    for part, logit in zip(parts, logits, strict=True) if learn else ():
        scores = _scores(logit, scale, cap)
        logit.copy_(_pull(scores, logs, *_places(targets, part), cap))
    return logs - hit


def _room(total: Tensor, like: Tensor) -> Tensor:
    """Where a gradient is written: over its own sum, which nobody else has, if that will do."""
    return total if total.dtype == like.dtype else torch.empty_like(like)


def _wide(x: Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)


def _parts(length: int, size: int) -> Iterator[slice]:
    size = max(FEWEST, 2 ** max(size, 1).bit_length() // 2)  # even parts are quicker
    return (slice(start, min(start + size, length)) for start in range(0, length, size))


def _scores(logits: Tensor, scale: float, cap: float | None) -> Tensor:
    """s, a tensor of its own."""
    scores = logits.to(_wide(logits), copy=True)
    scores = scores if scale == 1.0 else scores.mul_(scale)
    return scores if cap is None else scores.div_(cap).tanh_().mul_(cap)


def _pull(scores: Tensor, logs: Tensor, place: Tensor, inside: Tensor, cap: float | None) -> Tensor:
    """Of N times the loss at (W x + b) · scale: softmax(s) − [target], through the cap."""
    bent = None if cap is None else 1 - (scores / cap).square()
    pull = scores.sub_(logs[:, None]).exp_()
    pull.scatter_add_(1, place, -inside.to(pull.dtype)[:, None])
    return pull if bent is None else pull.mul_(bent)


def _add(total: Tensor, a: Tensor, b: Tensor) -> None:
    """total += a b."""
    if total.dtype == a.dtype:
        total.addmm_(a, b)
    else:
        total += a @ b


def _places(targets: Tensor, part: slice) -> tuple[Tensor, Tensor]:
    """Where in a part each target lies [n 1], and whether it does [n]."""
    place = targets - part.start
    inside = (place >= 0) & (targets < part.stop)
    return place.clamp(0, part.stop - part.start - 1)[:, None], inside
