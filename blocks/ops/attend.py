"""Softmax attention on tensors: the plain reference, and the path through torch's own kernels."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from blocks.ops import flexible, gpu, learnt, native
from blocks.ops.table import Table, whole
from blocks.ops.watch import noted, wanted

__all__: list[str] = []

Map = Callable[[Tensor], Tensor]


def attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    seen: Tensor | Table | None = None,
    causal: bool = False,
    bias: Tensor | Table | None = None,
    maps: Sequence[Map] = (),
    sinks: Tensor | None = None,
    last: Tensor | None = None,
    scale: float | None = None,
    dropout: float = 0.0,
    quick: bool = False,
) -> Tensor:
    r"""y = softmax(map(q kᵀ · scale) + bias) v over grouped heads, by the fastest exact way.

    Args:
        q: [B H T E].
        k: [B K S E], H a multiple of K: query head h reads key head h·K // H.
        v: [B K S V].
        seen: bool, broadcasts to [B H T S], True where a query may look; a tensor or a table.
        causal: the lower triangle (T = S), which `seen` says too or leaves out.
        bias: broadcasts to [B H T S], added to the scores; a tensor or a table.
        maps: functions of the scores, in order; one that has `pointwise` set looks at no others.
        sinks: [H], the score of a key without a value (one more term in the denominator).
        last: [B] or [1], instead of `seen`: the one query (T = 1) sees the slots up to this one.
        scale: 1/√E by default.
        dropout: rate at which attention weights are dropped.
        quick: whether the library's kernels may do it.
    """
    q, k, v = noted(q=q, k=k, v=v)
    explicit = len(maps) > 0 or sinks is not None or wanted("pattern")
    if last is not None:
        plain = not explicit and bias is None and dropout == 0
        if plain and native.suits(q, k, v):
            scale = 1 / math.sqrt(q.shape[-1]) if scale is None else scale
            return torch.ops.blocks.look(q[:, :, 0], k, v, last, scale)[:, :, None]  # B H 1 V
        seen = torch.arange(k.shape[2], device=k.device) <= last[:, None, None, None]  # B 1 1 S
    told: dict[str, Any] = {"seen": seen, "bias": bias, "maps": maps, "sinks": sinks}
    if dropout == 0 and flexible.suits(q, v, causal=causal, **told):
        return flexible.attend_by_rules(q, k, v, **told, scale=scale)
    seen, bias = None if causal else whole(seen), whole(bias)
    if explicit:
        return attend_plain(
            q,
            k,
            v,
            seen=seen,
            causal=causal,
            bias=bias,
            maps=maps,
            sinks=sinks,
            scale=scale,
            dropout=dropout,
        )
    simple = causal and bias is None and dropout == 0
    if native.learns(q, k, v) and simple and learnt.attends(q, k, v):
        plain = partial(attend_plain, causal=True, scale=scale)
        return learnt.causal_attention(plain, q, k, v, scale or 1 / math.sqrt(q.shape[-1]))
    mask = seen
    if bias is not None:
        if causal:
            seen, causal = _triangle(q, k), False
        mask = bias if seen is None else bias.masked_fill(~seen, -math.inf)
        mask = mask.to(q.dtype)
    b, h, t, e = q.shape
    groups = k.shape[1]
    if quick and t > 1 and mask is None and dropout == 0 and native.suits_many(q, k, v):
        scale = 1 / math.sqrt(e) if scale is None else scale
        return torch.ops.blocks.attend(q, k, v, causal, scale)
    if t == 1 and h > groups and (mask is None or mask.dim() < 3 or mask.shape[-3] == 1):
        # One query: its heads of a group become the queries of one head, which kernels like.
        folded = q.reshape(b, groups, h // groups, e)
        y = F.scaled_dot_product_attention(folded, k, v, mask, dropout, scale=scale)
        return y.reshape(b, h, 1, v.shape[-1])
    if h > groups and gpu.on(q) and not gpu.takes_groups(q, v, mask):
        k, v = _per_query_head(k, q), _per_query_head(v, q)
    return F.scaled_dot_product_attention(
        q, k, v, mask, dropout, is_causal=causal, scale=scale, enable_gqa=h > k.shape[1]
    )


def attend_plain(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    seen: Tensor | None = None,
    causal: bool = False,
    bias: Tensor | None = None,
    maps: Sequence[Map] = (),
    sinks: Tensor | None = None,
    scale: float | None = None,
    dropout: float = 0.0,
) -> Tensor:
    """The same as `attend`, written as the equation; a query that sees nothing gets zeros."""
    weights = attention_weights(
        q, k, seen=seen, causal=causal, bias=bias, maps=maps, sinks=sinks, scale=scale
    )
    (weights,) = noted(pattern=weights)
    weights = F.dropout(weights, dropout)
    return weights.to(v.dtype) @ _per_query_head(v, q)  # B H T V


def attention_weights(
    q: Tensor,
    k: Tensor,
    *,
    seen: Tensor | None = None,
    causal: bool = False,
    bias: Tensor | None = None,
    maps: Sequence[Map] = (),
    sinks: Tensor | None = None,
    scale: float | None = None,
) -> Tensor:
    """The pattern [B H T S] by which `attend` mixes the values; computed in at least float32."""
    scale = 1 / math.sqrt(q.shape[-1]) if scale is None else scale
    scores = q @ _per_query_head(k, q).transpose(-1, -2) * scale  # B H T S
    for function in maps:
        scores = function(scores)
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
    if bias is not None:
        scores = scores + bias
    if causal:
        seen = _triangle(q, k)
    if seen is not None:
        scores = scores.masked_fill(~seen, -math.inf)
    sink = None if sinks is None else sinks[:, None, None].to(scores.dtype)  # H 1 1
    highest = scores.detach().amax(-1, keepdim=True)
    if sink is not None:
        highest = torch.maximum(highest, sink.detach())
    highest = highest.masked_fill(highest == -math.inf, 0)
    powers = torch.exp(scores - highest)
    total = powers.sum(-1, keepdim=True)
    if sink is not None:
        total = total + torch.exp(sink - highest)
    return powers / total.masked_fill(total == 0, 1)


def _per_query_head(k: Tensor, q: Tensor) -> Tensor:
    return k.repeat_interleave(q.shape[1] // k.shape[1], 1)


def _triangle(q: Tensor, k: Tensor) -> Tensor:
    return torch.ones(q.shape[2], k.shape[2], dtype=torch.bool, device=q.device).tril()
