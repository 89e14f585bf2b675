"""Norms, one vector at a time."""

from __future__ import annotations

import torch
from torch import Tensor

from tests.twins.mlps import Params, Part, sigmoid, under


def rms_norm(
    p: Params,
    x: Tensor,
    *,
    eps: float = 1e-6,
    offset: float = 0.0,
    weight: bool = True,
    cast: str = "",
) -> Tensor:
    """Where 16 bits are rounded (`cast`) is nothing that float64 knows."""
    y = torch.empty_like(x)
    for at in places(x):
        size = sum(v * v for v in x[at]) / x.shape[-1]
        y[at] = x[at] / (size + eps) ** 0.5
    return y * (offset + p["weight"]) if weight else y


def layer_norm(
    p: Params,
    x: Tensor,
    *,
    eps: float = 1e-5,
    offset: float = 0.0,
    weight: bool = True,
    bias: bool = True,
) -> Tensor:
    y = torch.empty_like(x)
    for at in places(x):
        y[at] = standard(x[at], eps)
    y = y * (offset + p["weight"]) if weight else y
    return y + p["bias"] if bias else y


def standard(v: Tensor, eps: float) -> Tensor:
    """A vector with the mean 0 and the variance 1."""
    mean = sum(v) / len(v)
    return (v - mean) / (sum((v - mean) ** 2) / len(v) + eps) ** 0.5


def batch_norm(p: Params, x: Tensor, *, eps: float = 1e-5) -> Tensor:
    """In evaluation, by what was kept of the training data."""
    return (x - p["mean"]) / (p["variance"] + eps) ** 0.5 * p["weight"] + p["bias"]


def time_norm(p: Params, x: Tensor, real: Tensor | None = None, *, eps: float = 1e-5) -> Tensor:
    y, there = torch.zeros_like(x), slice(None) if real is None else real
    for d in range(x.shape[1]):
        mean = sum(x[there, d]) / len(x[there, d])
        variance = sum((x[there, d] - mean) ** 2) / len(x[there, d])
        y[:, d] = (x[:, d] - mean) / (variance + eps) ** 0.5 * p["weight"][d] + p["bias"][d]
    return y


def gated_rms_norm(
    p: Params, x: Tensor, z: Tensor, *, groups: int = 1, eps: float = 1e-5, gate_first: bool = True
) -> Tensor:
    gate = z * sigmoid(z)
    x = x * gate if gate_first else x
    y, size = torch.empty_like(x), x.shape[-1] // groups
    for at in places(x):
        for g in range(groups):
            own = slice(g * size, (g + 1) * size)
            y[at][own] = x[at][own] / (sum(v * v for v in x[at][own]) / size + eps) ** 0.5
    y = y * p["weight"]
    return y if gate_first else y * gate


def qk_norm(
    p: Params,
    q: Tensor,
    k: Tensor,
    *,
    norm: Part,
    gain: bool = False,
    over: str = "head",
) -> tuple[Tensor, Tensor]:
    """q [H T E] and k [K T E]."""
    made = []
    for name, x in (("q", q), ("k", k)):
        y, heads = torch.empty_like(x), range(len(x))
        for t in range(x.shape[1]):
            if over == "all":
                together = norm(under(p, name), torch.cat([x[h, t] for h in heads])[None])
                y[:, t] = together[0].view(len(heads), -1)
            else:
                for h in heads:
                    own = under(p, name if over == "head" else f"{name}.{h}")
                    y[h, t] = norm(own, x[h, t][None])[0]
        if gain:
            y = torch.stack([y[h] * p[f"{name}_gain"][h] for h in heads])
        made.append(y)
    return made[0], made[1]


def places(x: Tensor) -> list[tuple[int, ...]]:
    """Where the vectors of x stand."""
    return [tuple(at) for at in torch.ones(x.shape[:-1]).nonzero().tolist()]
