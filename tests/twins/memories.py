"""Layers that remember in one matrix or mean a head: linear attention, delta nets, RWKV."""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor

from tests.twins.convolutions import causal
from tests.twins.facts import Facts
from tests.twins.mlps import ACTIVATIONS, Params, Part, linear, sigmoid, softplus, under
from tests.twins.norms import gated_rms_norm

GATED = partial(gated_rms_norm, gate_first=False)


def linear_attention(
    p: Params,
    x: Tensor,
    facts: Facts,
    *,
    heads: int,
    kv_heads: int | None = None,
    feature: Part | None = None,
    qk: tuple[Part, ...] = (),
    decay: tuple[float, ...] | None = None,
    norm: Part | None = None,
    eps: float | None = 1e-6,
    **_: object,
) -> Tensor:
    """The sum over all pairs of tokens."""
    kv_heads = kv_heads or heads
    fade, share = decay or (1.0,) * kv_heads, heads // kv_heads

    def phi(v: Tensor) -> Tensor:
        if feature is not None:
            return feature(under(p, "feature"), v)
        return torch.where(v > 0, v + 1, v.exp())

    def by_head(v: Tensor, count: int) -> Tensor:
        size = v.shape[1] // count
        return torch.stack([v[:, h * size : (h + 1) * size] for h in range(count)])

    q, k = phi(by_head(linear(p, "q", x), heads)), phi(by_head(linear(p, "k", x), kv_heads))
    v, turned = by_head(linear(p, "v", x), kv_heads), (q, k)
    for n, part in enumerate(qk):
        turned = part(under(p, f"qk.{n}"), *turned, facts=facts)
    said = []
    for t in range(len(x)):
        row = []
        for h in range(heads):
            n, over, below = h // share, torch.zeros(v.shape[2], dtype=x.dtype), 0.0
            for s in range(t + 1):
                left = fade[n] ** (t - s)
                below = below + left * sum(q[h, t] * k[n, s])
                over = over + left * sum(turned[0][h, t] * turned[1][n, s]) * v[n, s]
            y = over if eps is None else over / (below + eps)
            row.append(y if norm is None else norm(under(p, "norm"), y[None])[0])
        said.append(linear(p, "out", torch.cat(row)))
    return torch.stack(said)


def unit(v: Tensor) -> Tensor:
    return v / (sum(v * v) + 1e-6) ** 0.5


def gated_delta_net(
    p: Params,
    x: Tensor,
    *,
    heads: int,
    norm: Part = GATED,
    value_heads: int | None = None,
    act: str = "silu",
    strength: float = 1.0,
    **_: object,
) -> Tensor:
    every = value_heads or heads
    q, k, v = (ACTIVATIONS[act](causal(under(p, f"{n}_conv"), linear(p, n, x))) for n in "qkv")
    e, wide = q.shape[1] // heads, v.shape[1] // every
    memory = [torch.zeros(e, wide, dtype=x.dtype)] * every
    said = []
    for t, token in enumerate(x):
        gate, row = linear(p, "gate", token), []
        lasts, writes = linear(p, "dt", token), linear(p, "beta", token)
        for h in range(every):
            n, own = h // (every // heads), slice(h * wide, (h + 1) * wide)
            key, asked = (unit(part[t, n * e : (n + 1) * e]) for part in (k, q))
            alpha = torch.exp(-p["a_log"][h].exp() * softplus(lasts[h] + p["dt_bias"][h]))
            old = alpha * memory[h]
            lack = v[t, own] - (old * key[:, None]).sum(0)
            memory[h] = old + torch.outer(key, strength * sigmoid(writes[h]) * lack)
            y = (memory[h] * asked[:, None]).sum(0) / math.sqrt(e)
            row.append(norm(under(p, "norm"), y[None], gate[own][None])[0])
        said.append(linear(p, "out", torch.cat(row)))
    return torch.stack(said)


def mixed(share: Tensor, x: Tensor) -> Tensor:
    """Of each token a share, and the rest of the one before."""
    before = [torch.zeros_like(x[0]), *x[:-1]]
    return torch.stack([share * x[t] + (1 - share) * before[t] for t in range(len(x))])


def weighed(k: Tensor, v: Tensor, fade: Tensor, bonus: Tensor) -> Tensor:
    """RWKV's mean of values as it is written, k and v [L C]."""
    found = []
    for t in range(len(k)):
        over = below = torch.zeros_like(k[0])
        for i in range(t + 1):
            often = torch.exp(bonus + k[t] if i == t else k[i] - (t - 1 - i) * fade)
            over, below = over + often * v[i], below + often
        found.append(over / below)
    return torch.stack(found)


def rwkv(p: Params, x: Tensor, *, inner: int | None = None) -> Tensor:
    k, v, r = (linear(p, n, mixed(p[f"{n}_mix"], x)) for n in "kvr")
    return linear(p, "out", sigmoid(r) * weighed(k, v, p["fade_log"].exp(), p["bonus"]))


def rwkv_channel_mix(
    p: Params, x: Tensor, *, act: str = "relu2", hidden: int | None = None
) -> Tensor:
    inside = ACTIVATIONS[act](linear(p, "k", mixed(p["k_mix"], x)))
    return sigmoid(linear(p, "r", mixed(p["r_mix"], x))) * linear(p, "v", inside)
