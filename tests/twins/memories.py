"""Layers that remember in one matrix or mean a head: linear attention, delta nets, RWKV."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from tests.twins.mlps import ACTIVATIONS, Params, linear, sigmoid, softplus, under
from tests.twins.rows import by_text

Part = Callable[[Params, Tensor], Tensor]


def linear_attention(
    p: Params,
    x: Tensor,
    *,
    heads: int,
    kv_heads: int | None = None,
    head_dim: int | None = None,
    feature: Part | None = None,
    turn: Callable[[Tensor, int], Tensor] | None = None,
    decay: tuple[float, ...] | None = None,
    norm: Part | None = None,
    eps: float | None = 1e-6,
    real: Tensor | None = None,
    segments: Tensor | None = None,
    **_: object,
) -> Tensor:
    """As the sum over all pairs of tokens; `turn(v, t)` is what `qk` does to features at place t."""
    kv_heads, fade = kv_heads or heads, decay or (1.0,) * (kv_heads or heads)
    share = heads // kv_heads

    def phi(v: Tensor) -> Tensor:
        return torch.where(v > 0, v + 1, v.exp()) if feature is None else feature({}, v)

    def read(text: Tensor, b: int) -> Tensor:
        q, k, v = (linear(p, name, text) for name in "qkv")
        e, wide = q.shape[1] // heads, v.shape[1] // kv_heads
        said = []
        for t in range(len(text)):
            row = []
            for h in range(heads):
                n = h // share
                asked = phi(q[t, h * e : (h + 1) * e])
                over, below = torch.zeros(wide, dtype=x.dtype), 0.0
                for s in range(t + 1):
                    key = phi(k[s, n * e : (n + 1) * e])
                    left = fade[n] ** (t - s)
                    below = below + left * sum(asked * key)
                    if turn is not None:
                        weight = left * sum(turn(asked, t) * turn(key, s))
                    else:
                        weight = left * sum(asked * key)
                    over = over + weight * v[s, n * wide : (n + 1) * wide]
                y = over if eps is None else over / (below + eps)
                row.append(y if norm is None else norm(under(p, "norm"), y[None])[0])
            said.append(linear(p, "out", torch.cat(row)))
        return torch.stack(said)

    return by_text(x, x.shape[-1], read, real, segments)


def convolved(weight: Tensor, text: Tensor) -> Tensor:
    """y_t = Σ_j w_j x_{t−k+1+j} of each channel; weight [C 1 k]."""
    kernel, y = weight.shape[-1], torch.zeros_like(text)
    for t in range(len(text)):
        for j in range(kernel):
            if t - kernel + 1 + j >= 0:
                y[t] += weight[:, 0, j] * text[t - kernel + 1 + j]
    return y


def unit(v: Tensor) -> Tensor:
    return v / (sum(v * v) + 1e-6) ** 0.5


def gated_delta_net(
    p: Params,
    x: Tensor,
    *,
    heads: int,
    norm: Callable[[Params, Tensor, Tensor], Tensor],
    value_heads: int | None = None,
    act: str = "silu",
    strength: float = 1.0,
    real: Tensor | None = None,
    segments: Tensor | None = None,
    **_: object,
) -> Tensor:
    h_all = value_heads or heads

    def read(text: Tensor, b: int) -> Tensor:
        q, k, v = (
            ACTIVATIONS[act](convolved(p[f"{n}_conv.weight"], linear(p, n, text))) for n in "qkv"
        )
        e, wide = q.shape[1] // heads, v.shape[1] // h_all
        memory = [torch.zeros(e, wide, dtype=x.dtype) for _ in range(h_all)]
        said = []
        for t, token in enumerate(text):
            gate, row = linear(p, "gate", token), []
            dt, bet = linear(p, "dt", token), linear(p, "beta", token)
            for h in range(h_all):
                n, own = h // (h_all // heads), slice(h * wide, (h + 1) * wide)
                key, asked = (unit(part[t, n * e : (n + 1) * e]) for part in (k, q))
                alpha = torch.exp(-p["a_log"][h].exp() * softplus(dt[h] + p["dt_bias"][h]))
                beta = strength * sigmoid(bet[h])
                old = alpha * memory[h]
                lack = v[t, own] - (old * key[:, None]).sum(0)
                memory[h] = old + key[:, None] * (beta * lack)[None]
                y = (memory[h] * asked[:, None]).sum(0) / math.sqrt(e)
                row.append(norm(under(p, "norm"), y[None], gate[own][None])[0])
            said.append(linear(p, "out", torch.cat(row)))
        return torch.stack(said)

    return by_text(x, x.shape[-1], read, real, segments)


def mixed(share: Tensor, text: Tensor, t: int) -> Tensor:
    before = text[t - 1] if t else torch.zeros_like(text[0])
    return share * text[t] + (1 - share) * before


def weighed(k: Tensor, v: Tensor, fade: Tensor, bonus: Tensor) -> Tensor:
    """RWKV's mean of values, as it is written: k and v [L C]."""
    found = []
    for t in range(len(k)):
        over = below = torch.zeros_like(k[0])
        for i in range(t + 1):
            often = torch.exp(bonus + k[t] if i == t else k[i] - (t - 1 - i) * fade)
            over, below = over + often * v[i], below + often
        found.append(over / below)
    return torch.stack(found)


def rwkv(
    p: Params,
    x: Tensor,
    *,
    real: Tensor | None = None,
    segments: Tensor | None = None,
    **_: object,
) -> Tensor:
    def read(text: Tensor, b: int) -> Tensor:
        k, v, r = (
            torch.stack([linear(p, n, mixed(p[f"{n}_mix"], text, t)) for t in range(len(text))])
            for n in "kvr"
        )
        mean = weighed(k, v, p["fade_log"].exp(), p["bonus"])
        return linear(p, "out", sigmoid(r) * mean)

    return by_text(x, x.shape[-1], read, real, segments)


def rwkv_channel_mix(
    p: Params,
    x: Tensor,
    *,
    act: str = "relu2",
    real: Tensor | None = None,
    segments: Tensor | None = None,
    **_: object,
) -> Tensor:
    def read(text: Tensor, b: int) -> Tensor:
        found = []
        for t in range(len(text)):
            inside = ACTIVATIONS[act](linear(p, "k", mixed(p["k_mix"], text, t)))
            opened = sigmoid(linear(p, "r", mixed(p["r_mix"], text, t)))
            found.append(opened * linear(p, "v", inside))
        return torch.stack(found)

    return by_text(x, x.shape[-1], read, real, segments)
