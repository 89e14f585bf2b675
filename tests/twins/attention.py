"""Attention, one query at one key. One sequence: x [T D], q [H T E], k [K S E]."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from tests.twins.facts import Facts
from tests.twins.heads import softmax
from tests.twins.mlps import ACTIVATIONS, Params, linear, under
from tests.twins.positions import rope

Part = Callable[..., Any]
Sees = Callable[[int, int], bool]


def apart(x: Tensor, heads: int) -> Tensor:
    """[T H·E] -> [H T E]."""
    return torch.stack(x.split(x.shape[1] // heads, 1))


def together(y: Tensor) -> Tensor:
    """[H T E] -> [T H·E]."""
    return torch.cat(list(y), 1)


def products(q: Tensor, k: Tensor, scale: float | None) -> Tensor:
    """[H T S] of queries and of the keys of their groups."""
    by = q.shape[-1] ** -0.5 if scale is None else scale
    group = len(q) // len(k)
    rows = [[[by * (a @ b) for b in k[h // group]] for a in q[h]] for h in range(len(q))]
    return torch.tensor(rows, dtype=torch.float64)


def mixed(scores: Tensor, v: Tensor, sees: Sees, sinks: Tensor | None = None) -> Tensor:
    """What each query finds, [H T V]; zeros where it sees nothing."""
    heads, tokens, keys = scores.shape
    y = torch.zeros(heads, tokens, v.shape[-1], dtype=torch.float64)
    for h in range(heads):
        for t in range(tokens):
            at = [s for s in range(keys) if sees(t, s)]
            if at:
                row = scores[h, t, at]
                shares = softmax(row if sinks is None else torch.cat([row, sinks[h][None]]))
                values = v[h // (heads // len(v))]
                y[h, t] = sum(share * values[s] for share, s in zip(shares, at, strict=False))
    return y


def sight(mask: Callable[[int, int], bool], facts: Facts) -> Sees:
    def sees(t: int, s: int) -> bool:
        let = facts.seen is None or bool(facts.seen[t, s])
        return let and mask(facts.positions[t], facts.positions[s])

    return sees


def grouped(
    p: Params,
    x: Tensor,
    *,
    facts: Facts,
    heads: int,
    kv_heads: int | None,
    head_dim: int | None,
    value_dim: int | None,
    out_dim: int | None,
    bias: bool,
    key_bias: bool | None,
    out_bias: bool,
    qk: tuple[Part, ...],
    values: Part | None,
    scores: tuple[Part, ...],
    mask: Callable[[int, int], bool],
    gate: Part | None,
    scale: float | None,
    sinks: bool,
) -> Tensor:
    groups = kv_heads or heads
    q, k, v = apart(linear(p, "q", x), heads), apart(linear(p, "k", x), groups), None
    v = apart(linear(p, "v", x), groups)
    assert q.shape[-1] == k.shape[-1] == (head_dim or x.shape[1] // heads)
    assert v.shape[-1] == (value_dim or q.shape[-1])
    given = {"q": bias, "k": bias if key_bias is None else key_bias, "v": bias, "out": out_bias}
    assert all((f"{name}.bias" in p) is there for name, there in given.items())
    v = v if values is None else values(under(p, "values"), v)
    for n, part in enumerate(qk):
        q, k = part(under(p, f"qk.{n}"), q, k, facts=facts)
    found, more = products(q, k, scale), 0.0
    for n, part in enumerate(scores):
        if "k_positions" in inspect.signature(part).parameters:
            places = facts.positions
            more = more + part(under(p, f"scores.{n}"), places, places, heads=heads)
        else:
            found = part(under(p, f"scores.{n}"), found)
    y = mixed(found + more, v, sight(mask, facts), p["sinks"] if sinks else None)
    y = y if gate is None else gate(under(p, "gate"), y, x)
    y = linear(p, "out", together(y))
    assert y.shape[1] == (out_dim or x.shape[1])
    return y


def cross(
    p: Params,
    x: Tensor,
    *,
    facts: Facts,
    heads: int,
    kv_heads: int | None,
    head_dim: int | None,
    bias: bool,
    key_bias: bool | None,
    out_bias: bool,
    scale: float | None,
    norm: Part | None,
) -> Tensor:
    m, looks = facts.memory, facts.looks
    assert m is not None
    m = m if norm is None else norm(under(p, "norm"), m)
    groups = kv_heads or heads
    q, k, v = apart(linear(p, "q", x), heads), *(apart(linear(p, n, m), groups) for n in "kv")
    assert q.shape[-1] == (head_dim or x.shape[1] // heads)
    given = {"q": bias, "k": bias if key_bias is None else key_bias, "v": bias, "out": out_bias}
    assert all((f"{name}.bias" in p) is there for name, there in given.items())
    y = mixed(products(q, k, scale), v, lambda t, s: looks is None or bool(looks[t, s]))
    return linear(p, "out", together(y))


def latent(
    p: Params,
    x: Tensor,
    *,
    facts: Facts,
    heads: int,
    kv_rank: int,
    nope_dim: int,
    rope_dim: int,
    value_dim: int,
    q_rank: int | None,
    norm: Part | None,
    bias: bool,
    out_bias: bool,
    qk: tuple[Part, ...],
    mask: Callable[[int, int], bool],
    scale: float | None,
) -> Tensor:
    assert ("kv_down.bias" in p) is bias and ("out.bias" in p) is out_bias
    down = linear(p, "kv_down", x)
    normed = norm or (lambda p, x: x)
    c, r = normed(under(p, "kv_norm"), down[:, :kv_rank]), down[None, :, kv_rank:]
    both = apart(linear(p, "kv_up", c), heads)
    k, v = both[..., :nope_dim], both[..., nope_dim:]
    assert v.shape[-1] == value_dim and r.shape[-1] == rope_dim
    if q_rank is None:
        flat = linear(p, "q", x)
    else:
        flat = linear(p, "q_up", normed(under(p, "q_norm"), linear(p, "q_down", x)))
    q, s = apart(flat, heads)[..., :nope_dim], apart(flat, heads)[..., nope_dim:]
    for n, part in enumerate(qk):
        s, r = part(under(p, f"qk.{n}"), s, r, facts=facts)
    scores = products(q, k, 1.0) + products(s, r, 1.0)
    scores = scores * (scale if scale is not None else (nope_dim + rope_dim) ** -0.5)
    return linear(p, "out", together(mixed(scores, v, sight(mask, facts))))


def turned(
    p: Params,
    x: Tensor,
    *,
    facts: Facts,
    heads: int,
    theta: float,
    bias: bool,
    mask: Callable[[int, int], bool],
) -> Tensor:
    assert all((f"{name}.bias" in p) is bias for name in ("q", "k", "v", "out"))
    plain: dict[str, Any] = {"rotated": 1.0, "pairing": "half", "scaling": None, "theta": theta}
    first = together(rope({}, apart(x, heads), apart(x, heads), facts=facts, **plain)[0])
    q, k, v = (apart(linear(p, n, y), heads) for n, y in (("q", first), ("k", first), ("v", x)))
    return linear(p, "out", together(mixed(products(q, k, None), v, sight(mask, facts))))


def infini(
    p: Params,
    x: Tensor,
    *,
    facts: Facts,
    heads: int,
    segment: int,
    kv_heads: int | None,
    head_dim: int | None,
    update: str,
    bias: bool,
    out_bias: bool,
    qk: tuple[Part, ...],
    scale: float | None,
) -> Tensor:
    def feature(v: Tensor) -> Tensor:
        """ELU + 1."""
        return torch.where(v > 0, v + 1, torch.exp(v))

    groups, tokens = kv_heads or heads, range(len(x))
    plain_q, plain_k = apart(linear(p, "q", x), heads), apart(linear(p, "k", x), groups)
    v, e = apart(linear(p, "v", x), groups), plain_q.shape[-1]
    assert ("q.bias" in p) is bias and ("out.bias" in p) is out_bias
    assert e == (head_dim or x.shape[1] // heads)
    q, k = plain_q, plain_k
    for n, part in enumerate(qk):
        q, k = part(under(p, f"qk.{n}"), q, k, facts=facts)
    place = facts.positions
    local = mixed(products(q, k, scale), v, lambda t, s: place[s] in _segment(place[t], segment))
    y = local.clone()
    for h in range(heads):
        own, gate = h // (heads // groups), 1 / (1 + math.exp(-p["gate"][h]))
        m, z = torch.zeros(e, e, dtype=torch.float64), torch.zeros(e, dtype=torch.float64)
        for t in tokens:
            if t and t % segment == 0:
                added, grown = torch.zeros_like(m), torch.zeros_like(z)
                for s in range(t - segment, t):
                    key, value = feature(plain_k[own, s]), v[own, s]
                    if update == "delta" and t > segment:
                        value = value - key @ m / (key @ z)
                    added, grown = added + torch.outer(key, value), grown + key
                m, z = m + added, z + grown
            if t >= segment:
                asked = feature(plain_q[h, t])
                y[h, t] = gate * (asked @ m) / (asked @ z) + (1 - gate) * local[h, t]
    return linear(p, "out", together(y))


def _segment(place: int, segment: int) -> range:
    """What a token sees of its own segment."""
    return range(place - place % segment, place + 1)


def output_gate(
    p: Params, y: Tensor, x: Tensor, *, act: str, over: str, bias: bool, head_bias: bool
) -> Tensor:
    assert ("bias" in p) is bias and ("head_bias" in p) is head_bias
    heads, _, width = y.shape
    found = y.clone()
    for h in range(heads):
        for c in range(width):
            row = h * width + c if over == "channel" else h
            opened = (x * p["weight"][row]).sum(1)
            opened = opened + p["bias"][row] if bias else opened
            opened = opened + p["head_bias"][h] if head_bias else opened
            found[h, :, c] = y[h, :, c] * ACTIVATIONS[act](opened)
    return found


def clip(p: Params, x: Tensor, *, cap: float) -> Tensor:
    return torch.where(x > cap, cap, torch.where(x < -cap, -cap, x))


def scaled(p: Params, x: Tensor, *, scale: float) -> Tensor:
    return x * scale


def soft_cap(p: Params, scores: Tensor, *, cap: float) -> Tensor:
    return cap * torch.tanh(scores / cap)
