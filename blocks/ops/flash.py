"""FlashAttention in plain torch: exact softmax attention in tiles, with memory linear in length."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from blocks.errors import SpecError
from blocks.ops.once import once

__all__ = ["flash_attend"]


def flash_attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    seen: Tensor | None = None,
    causal: bool = False,
    scale: float | None = None,
    tile: int = 128,
) -> Tensor:
    r"""y = softmax(q kᵀ · scale) v over grouped heads, without ever holding the T × S scores.

    Of each tile of scores s, the running maximum m, sum l and output o become

        m' = max(m, max s),   l' = l·e^(m − m') + Σ e^(s − m'),   o' = o·e^(m − m') + e^(s − m') v

    and y = o / l. Only y and log l + m are kept; the backward pass makes each tile again. Dao, Fu,
    Ermon, Rudra and Ré, "FlashAttention", 2022, arXiv:2205.14135, algorithms 1 and 4.

    This is the algorithm to read and to change. torch's `scaled_dot_product_attention` runs it in
    one kernel, which is faster, so no block calls this function.

    Args:
        q: [B H T E].
        k: [B K S E], H a multiple of K: query head h reads key head h·K // H.
        v: [B K S V].
        seen: bool, broadcasts to [B H T S], True where a query may look; one that may look nowhere
            gets zeros.
        causal: the lower triangle (T = S); tiles above it are skipped.
        scale: 1/√E by default.
        tile: how many queries, and how many keys, a tile spans.

    Errors:
        SpecError: sizes that don't fit each other, or a mask that isn't bool.

    Example:
        >>> import torch, torch.nn.functional as F
        >>> from blocks import flash_attend
        >>> q, k, v = torch.randn(3, 1, 2, 300, 8, dtype=torch.float64)
        >>> wanted = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        >>> torch.allclose(flash_attend(q, k, v, causal=True), wanted)
        True
    """
    _check(q, k, v, seen, causal, tile)
    groups, each = k.shape[1], q.shape[1] // k.shape[1]
    if seen is not None:
        seen = seen.expand(*q.shape[:3], k.shape[2]).unflatten(1, (groups, each))  # B K G T S
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    grouped = q.unflatten(1, (groups, each)), k[:, :, None], v[:, :, None]
    return _Flash.apply(*grouped, seen, causal, scale, tile).flatten(1, 2)  # B H T V


class _Flash(torch.autograd.Function):
    """q [B K G T E], k [B K 1 S E], v [B K 1 S V] -> [B K G T V]."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, seen: Any, *how: Any) -> Tensor:
        causal, scale, tile = how
        wide = torch.promote_types(q.dtype, torch.float32)
        y = q.new_empty(*q.shape[:-1], v.shape[-1])
        logs = q.new_empty(q.shape[:-1], dtype=wide)
        for rows in _tiles(q.shape[-2], tile):
            asked = q[..., rows, :].to(wide) * scale
            highest = asked.new_full(asked.shape[:-1], -math.inf)
            total = torch.zeros_like(highest)
            out = asked.new_zeros(*asked.shape[:-1], v.shape[-1])
            for keys in _tiles(k.shape[-2], tile):
                if causal and keys.start >= rows.stop:
                    break
                scores = _scores(asked, k, seen, causal, rows, keys)
                new = torch.maximum(highest, scores.amax(-1))
                base = new.masked_fill(new == -math.inf, 0)  # nothing seen so far
                fade = torch.exp(highest - base)
                powers = torch.exp(scores - base[..., None])
                total = total * fade + powers.sum(-1)
                out = out * fade[..., None] + powers @ v[..., keys, :].to(wide)
                highest = new
            blind = total == 0
            y[..., rows, :] = (out / total.masked_fill(blind, 1)[..., None]).to(y.dtype)
            # e^(s − ∞) = 0: the backward pass needs no case of its own for a blind query.
            logs[..., rows] = (highest + total.log()).masked_fill(blind, math.inf)
        ctx.save_for_backward(q, k, v, seen, y, logs)
        ctx.how = how
        return y

    @staticmethod
    @once("flash_attend")
    def backward(ctx: Any, grad: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]  # one output
        q, k, v, seen, y, logs = ctx.saved_tensors
        causal, scale, tile = ctx.how
        wide = logs.dtype
        to_q, to_k, to_v = (torch.zeros_like(x, dtype=wide) for x in (q, k, v))
        for rows in _tiles(q.shape[-2], tile):
            asked, pull = q[..., rows, :].to(wide) * scale, grad[..., rows, :].to(wide)
            shared = (pull * y[..., rows, :]).sum(-1, keepdim=True)  # the softmax's own pull
            for keys in _tiles(k.shape[-2], tile):
                if causal and keys.start >= rows.stop:
                    break
                scores = _scores(asked, k, seen, causal, rows, keys)
                weights = torch.exp(scores - logs[..., rows, None])
                mixed = v[..., keys, :].to(wide)
                to_scores = weights * (pull @ mixed.transpose(-1, -2) - shared)
                to_q[..., rows, :] += to_scores @ k[..., keys, :].to(wide) * scale
                to_k[..., keys, :] += (to_scores.transpose(-1, -2) @ asked).sum(2, keepdim=True)
                to_v[..., keys, :] += (weights.transpose(-1, -2) @ pull).sum(2, keepdim=True)
        return to_q.to(q.dtype), to_k.to(k.dtype), to_v.to(v.dtype), None, None, None, None


def _tiles(length: int, tile: int) -> list[slice]:
    return [slice(start, min(start + tile, length)) for start in range(0, length, tile)]


def _scores(
    asked: Tensor, k: Tensor, seen: Tensor | None, causal: bool, rows: slice, keys: slice
) -> Tensor:
    """One tile of scores, −∞ where a query may not look."""
    scores = asked @ k[..., keys, :].to(asked.dtype).transpose(-1, -2)  # B K G t s
    if causal and keys.stop > rows.start + 1:
        place = torch.arange(max(rows.stop, keys.stop), device=k.device)
        scores = scores.masked_fill(place[rows, None] < place[keys], -math.inf)
    if seen is not None:
        scores = scores.masked_fill(~seen[..., rows, keys], -math.inf)
    return scores


def _check(q: Tensor, k: Tensor, v: Tensor, seen: Tensor | None, causal: bool, tile: int) -> None:
    shapes = f"q {list(q.shape)}, k {list(k.shape)}, v {list(v.shape)}"
    fit = q.dim() == k.dim() == v.dim() == 4 and k.shape[:3] == v.shape[:3]
    if not fit or q.shape[0] != k.shape[0] or q.shape[3] != k.shape[3]:
        raise SpecError(f"are [B H T E], [B K S E] and [B K S V], not {shapes}", field="q, k, v")
    if not 0 < k.shape[1] <= q.shape[1] or q.shape[1] % k.shape[1]:
        raise SpecError(f"heads must be a multiple of key/value heads: {shapes}", field="q, k, v")
    if causal and q.shape[2] != k.shape[2]:
        raise SpecError(f"needs as many keys as queries: {shapes}", field="causal", hint="use seen")
    if seen is not None:
        scores = (*q.shape[:3], k.shape[2])
        sizes = zip(reversed(seen.shape), reversed(scores), strict=False)
        if seen.dtype != torch.bool:
            raise SpecError(f"must be bool, not {seen.dtype}", field="seen")
        if seen.dim() > 4 or any(n not in (1, size) for n, size in sizes):
            raise SpecError(f"{list(seen.shape)} can't be spread to {list(scores)}", field="seen")
    if tile < 1:
        raise SpecError(f"must be at least 1, not {tile}", field="tile")
