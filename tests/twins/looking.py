"""Attention by windows, chunks, distances and hashes, and with other scores than a product."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor

from tests.twins.attention import apart, mixed, products, together
from tests.twins.facts import Facts
from tests.twins.heads import softmax
from tests.twins.mlps import Params, linear, under
from tests.twins.positions import waves

Mask = Callable[[int, int], bool]
Part = Callable[..., Any]


def additive(
    p: Params, x: Tensor, *, facts: Facts, dim: int, hidden: int | None, bias: bool
) -> Tensor:
    assert facts.memory is not None and ("k.bias" in p) is bias
    assert len(p["q.weight"]) == (hidden or dim)
    rows = []
    for v in x:
        scores = [
            (p["score.weight"][0] * torch.tanh(linear(p, "q", v) + linear(p, "k", m))).sum()
            for m in facts.memory
        ]
        shares = softmax(torch.stack(scores))
        rows.append(sum(share * m for share, m in zip(shares, facts.memory, strict=True)))
    return torch.stack(rows)


def gaussian_window(p: Params, x: Tensor, *, facts: Facts, components: int) -> Tensor:
    assert facts.memory is not None
    rows, kappa = [], [0.0] * components
    for v in x:
        hats = linear(p, "linear", v).tolist()
        row = torch.zeros(facts.memory.shape[1], dtype=torch.float64)
        kappa = [kappa[n] + math.exp(hats[2 * components + n]) for n in range(components)]
        for j, m in enumerate(facts.memory, 1):
            phi = sum(
                math.exp(hats[n]) * math.exp(-math.exp(hats[components + n]) * (kappa[n] - j) ** 2)
                for n in range(components)
            )
            row = row + phi * m
        rows.append(row)
    return torch.stack(rows)


def projected(
    p: Params, x: Tensor, heads: int, head_dim: int | None, bias: bool, out_bias: bool
) -> tuple[Tensor, Tensor, Tensor]:
    q, k, v = (apart(linear(p, name, x), heads) for name in "qkv")
    assert q.shape[-1] == (head_dim or x.shape[1] // heads)
    assert ("q.bias" in p) is bias and ("out.bias" in p) is out_bias
    return q, k, v


def chunked(
    p: Params,
    x: Tensor,
    *,
    facts: Facts,
    heads: int,
    chunk: int,
    before: int,
    after: int,
    mask: Mask,
    **parts: Any,
) -> Tensor:
    q, k, v = projected(p, x, heads, **parts)

    def sees(t: int, s: int) -> bool:
        a, b = facts.positions[t], facts.positions[s]
        return mask(a, b) and -before <= b // chunk - a // chunk <= after

    return linear(p, "out", together(mixed(products(q, k, None), v, sees)))


def circle(
    p: Params,
    x: Tensor,
    *,
    heads: int,
    chunk: int,
    before: int,
    after: int,
    multiple: int | None,
    mask: Mask,
    **parts: Any,
) -> Tensor:
    q, k, v = projected(p, x, heads, **parts)
    whole = multiple or chunk
    chunks = math.ceil(len(x) / whole) * whole // chunk

    def sees(t: int, s: int) -> bool:
        near = {(t // chunk + step) % chunks for step in range(-before, after + 1)}
        return mask(t, s) and s // chunk in near

    return linear(p, "out", together(mixed(products(q, k, None), v, sees)))


def longformer(
    p: Params, x: Tensor, *, facts: Facts, heads: int, radius: int, **parts: Any
) -> Tensor:
    marked = [False] * len(x) if facts.marked is None else list(facts.marked)
    q, k, v = projected(p, x, heads, **parts)
    near = mixed(products(q, k, None), v, lambda t, s: abs(s - t) <= radius or marked[s])
    q, k, v = (apart(linear(p, f"{name}_global", x), heads) for name in "qkv")
    far = mixed(products(q, k, None), v, lambda t, s: True)
    for t, all_of_it in enumerate(marked):
        if all_of_it:
            near[:, t] = far[:, t]
    return linear(p, "out", together(near))


def type_relation(p: Params, q: Tensor, q_types: Any, k_types: Any) -> Tensor:
    def score(h: int, t: int, other: bool) -> Tensor:
        return (q[h, t] + p["bias"][h]) @ p["weight"][int(other), h]

    pairs = [[a != b for b in k_types] for a in q_types]
    rows = [
        [[score(h, t, bool(other)) for other in row] for t, row in enumerate(pairs)]
        for h in range(len(q))
    ]
    return torch.tensor(rows, dtype=torch.float64)


def relative(
    p: Params,
    x: Tensor,
    *,
    facts: Facts,
    heads: int,
    head_dim: int | None,
    bias: bool,
    layout: str,
    clamp: int | None,
    memory: int | None,
    filled: bool,
    norm_in: Part | None,
    relation: Part | None,
    mask: Mask,
) -> Tensor:
    older = memory if filled and memory else 0  # zeros before the first token
    older = older if facts.memory is None else len(facts.memory)  # the inputs before these
    dim, first = x.shape[1], facts.positions[0]
    places = [first - older + n for n in range(older)] + list(facts.positions)
    types = [0] * older + ([0] * len(x) if facts.types is None else list(facts.types))
    before = torch.zeros(older, dim, dtype=torch.float64)
    whole = torch.cat([before if facts.memory is None else facts.memory, x])
    whole = whole if norm_in is None else norm_in(under(p, "norm_in"), whole)
    q, k, v = (apart(linear(p, name, whole), heads) for name in "qkv")
    q, e = q[:, older:], q.shape[-1]
    assert e == (head_dim or dim // heads) and ("q.bias" in p) is ("out.bias" in p) is bias

    @cache
    def wave(d: int) -> Tensor:
        """W_R r(d) of each head, [H E]."""
        r = waves(d, dim, layout=layout, theta=1e4, endpoint=False)
        return apart(linear(p, "position", r[None]), heads)[:, 0]

    def by_distance(h: int, t: int, s: int) -> Tensor:
        d = facts.positions[t] - places[s]
        d = d if clamp is None else max(-clamp, min(clamp, d))
        return (q[h, t] + p["position_bias"][h]) @ wave(d)[h]

    scores = products(q + p["content_bias"][:, None], k, 1.0)
    for h in range(heads):
        for t in range(len(x)):
            for s in range(len(places)):
                scores[h, t, s] += by_distance(h, t, s)
    if relation is not None:
        scores = scores + relation(under(p, "relation"), q, types[older:], types)
    y = mixed(scores / e**0.5, v, lambda t, s: mask(facts.positions[t], places[s]))
    return linear(p, "out", together(y))


def hashed(
    p: Params,
    x: Tensor,
    *,
    heads: int,
    buckets: int | tuple[int, ...],
    chunk: int,
    head_dim: int | None,
    hashes: int,
    before: int,
    after: int,
    multiple: int | None,
    seed: int | None,
    mask: Mask,
) -> Tensor:
    sizes = (buckets,) if isinstance(buckets, int) else buckets
    q, v = apart(linear(p, "qk", x), heads), apart(linear(p, "v", x), heads)
    e, n = q.shape[-1], len(x)
    assert e == (head_dim or x.shape[1] // heads)
    k = q / torch.sqrt((q**2).sum(-1, keepdim=True) + e * 1e-6)
    random = torch.Generator().manual_seed(seed or 0)
    drawn = torch.randn(heads, e, hashes, sum(sizes) // 2, generator=random).double()

    def bucket(h: int, t: int, r: int) -> int:
        found, factor, first = 0, 1, 0
        for size in sizes:
            away = [q[h, t] @ drawn[h, :, r, first + i] for i in range(size // 2)]
            every = away + [-a for a in away]
            found, factor = found + factor * every.index(max(every)), factor * size
            first += size // 2
        return found

    def look(h: int, t: int, window: list[int]) -> tuple[Tensor, float]:
        """What it sees there, and the logarithm of the sum of the powers."""
        at = [s for s in window if s != t and mask(t, s)]
        at = at or [s for s in window if s == t]
        scores = [-1e5 if s == t else float(q[h, t] @ k[h, s]) for s in at]
        most = max(scores)
        total = most + math.log(sum(math.exp(a - most) for a in scores))
        found = sum(math.exp(a - total) * v[h, s] for a, s in zip(scores, at, strict=True))
        return found, total  # pyright: ignore[reportReturnType]  # a sum of tensors

    def windows(h: int) -> list[dict[int, list[int]]]:
        """Of each round, what is beside each token."""
        if n <= chunk:
            return [{t: list(range(n)) for t in range(n)}]
        whole = multiple or chunk
        room = math.ceil(n / whole) * whole
        ring: list[list[int]] = []
        for r in range(hashes):
            order = sorted(range(n), key=lambda t: bucket(h, t, r))
            ring += [order[at : at + chunk] for at in range(0, room, chunk)]
        each = room // chunk
        found: list[dict[int, list[int]]] = [{} for _ in range(hashes)]
        for at, own in enumerate(ring):
            near = [ring[(at + step) % len(ring)] for step in range(-before, after + 1)]
            found[at // each] |= {t: [s for part in near for s in part] for t in own}
        return found

    y = torch.zeros_like(v)
    for h in range(heads):
        beside = windows(h)
        for t in range(n):
            seen, totals = zip(*(look(h, t, part[t]) for part in beside), strict=True)
            shares = softmax(torch.tensor(totals, dtype=torch.float64))
            y[h, t] = sum(share * found for share, found in zip(shares, seen, strict=True))
    return linear(p, "out", together(y))
