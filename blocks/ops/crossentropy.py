"""Cross entropy of a vocabulary's logits, which are never all there at once."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from blocks.ops.once import once

__all__: list[str] = []

LOGITS = 2**24  # in their own dtype, that are there at once
SCORES = 2**19  # in float32, that are worked on at once: a processor's cache holds them
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
    given = (x, weight, bias, targets)
    return _LinearCrossEntropy.apply(*given, scale, cap, torch.is_grad_enabled())  # pyright: ignore[reportReturnType]  # autograd.Function is untyped


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Any, targets: Tensor, *rest: Any) -> Any:
        *how, learn = rest
        loss = torch.zeros((), dtype=_wide(x), device=x.device)
        # Without 1/N and the pull from outside, which float16 might round to nothing.
        to_x, to_weight, to_bias = sums = [
            torch.zeros_like(t, dtype=loss.dtype) if wanted and learn else None
            for t, wanted in zip((x, weight, bias), ctx.needs_input_grad, strict=False)
        ]
        for rows in _parts(len(x), LOGITS // len(weight)):
            own, goal = x[rows], targets[rows]
            parts = list(_parts(len(weight), SCORES // len(own)))
            logits = [
                F.linear(own, weight[part], None if bias is None else bias[part]) for part in parts
            ]
            highest = loss.new_full((len(own),), -math.inf)
            total, hit = torch.zeros_like(highest), torch.zeros_like(highest)
            for part, logit in zip(parts, logits, strict=True):
                scores = _scores(logit, *how)  # n v
                place, inside = _places(goal, part)
                hit += scores.gather(1, place)[:, 0] * inside
                new = torch.maximum(highest, scores.amax(1))
                power = scores.sub_(new[:, None]).exp_().sum(1)
                total, highest = total * (highest - new).exp() + power, new
            logs = highest + total.log()
            loss += (logs - hit).sum()
            if not any(t is not None for t in sums):
                continue
            for part, logit in zip(parts, logits, strict=True):
                pull = _pull(_scores(logit, *how), logs, *_places(goal, part), *how).to(x.dtype)
                if to_x is not None:
                    _add(to_x[rows], pull, weight[part])
                if to_weight is not None:
                    _add(to_weight[part], pull.T, own)
                if to_bias is not None:
                    to_bias[part] += pull.sum(0, dtype=to_bias.dtype)
        ctx.scale = how[0]
        ctx.save_for_backward(x, weight, bias, *sums)
        return loss / len(x)

    @staticmethod
    @once("linear_cross_entropy")
    def backward(ctx: Any, grad: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]  # one output
        *given, to_x, to_weight, to_bias = ctx.saved_tensors
        share = grad * (ctx.scale / len(given[0]))
        sums = zip(given, (to_x, to_weight, to_bias), strict=True)
        found = (
            None if total is None else torch.mul(total, share, out=torch.empty_like(like))
            for like, total in sums
        )
        return *found, None, None, None, None


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


def _pull(
    scores: Tensor, logs: Tensor, place: Tensor, inside: Tensor, scale: float, cap: float | None
) -> Tensor:
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
