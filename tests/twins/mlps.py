"""Activations and MLPs as the papers have them, element by element where it matters."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Params = dict[str, Tensor]
Part = Callable[..., Any]  # a twin in another's slot


def sigmoid(x: Tensor) -> Tensor:
    return 1 / (1 + torch.exp(-x))


def softplus(x: Tensor) -> Tensor:
    """log(1 + eˣ), which no large x overflows."""
    return x.clamp(min=0) + torch.log1p(torch.exp(-x.abs()))


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": lambda x: x * (1 + torch.erf(x / math.sqrt(2))) / 2,
    "gelu_tanh": lambda x: x / 2 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "identity": lambda x: x,
    "quick_gelu": lambda x: x * sigmoid(1.702 * x),
    "relu": lambda x: (x + x.abs()) / 2,
    "relu2": lambda x: ((x + x.abs()) / 2) ** 2,
    "sigmoid": sigmoid,
    "silu": lambda x: x * sigmoid(x),
    "softplus": softplus,
    "tanh": lambda x: (torch.exp(x) - torch.exp(-x)) / (torch.exp(x) + torch.exp(-x)),
}


def linear(p: Params, name: str, x: Tensor) -> Tensor:
    """W x + b, a sum a channel; b only where there is one."""
    y = (x[..., None, :] * p[f"{name}.weight"]).sum(-1)
    return y + p[f"{name}.bias"] if f"{name}.bias" in p else y


def under(p: Params, name: str) -> Params:
    """The parameters of one part, by the names that they have in it."""
    return {k[len(name) + 1 :]: v for k, v in p.items() if k.startswith(f"{name}.")}


def mlp(p: Params, x: Tensor, *, act: str | Part, **_: object) -> Tensor:
    hidden = linear(p, "up", x)
    hidden = ACTIVATIONS[act](hidden) if isinstance(act, str) else act(under(p, "act"), hidden)
    return linear(p, "down", hidden)


def gated_mlp(p: Params, x: Tensor, *, act: str = "silu", **_: object) -> Tensor:
    return linear(p, "down", ACTIVATIONS[act](linear(p, "gate", x)) * linear(p, "up", x))


def clamped_glu(
    p: Params, x: Tensor, *, alpha: float = 1.702, limit: float = 7.0, **_: object
) -> Tensor:
    gates, ups = linear(p, "gate", x), linear(p, "up", x)
    hidden = torch.empty_like(gates)
    for at, (g, u) in enumerate(zip(gates.flatten().tolist(), ups.flatten().tolist(), strict=True)):
        gate, up = min(g, limit), max(-limit, min(u, limit))
        hidden.view(-1)[at] = gate / (1 + math.exp(-alpha * gate)) * (up + 1)
    return linear(p, "down", hidden)


def maxout(p: Params, x: Tensor, *, hidden: int, pieces: int = 2, **_: object) -> Tensor:
    every = linear(p, "linear", x)
    channels = [
        torch.stack([every[..., f * pieces + n] for n in range(pieces)]).max(0).values
        for f in range(hidden)
    ]
    return torch.stack(channels, -1)


def xielu(p: Params, x: Tensor) -> Tensor:
    beta, eps = float(p["beta"]), float(p["eps"])
    above = float(softplus(p["alpha_p"]))
    below = beta + float(softplus(p["alpha_n"]))
    made = [
        above * v * v + beta * v if v > 0 else below * (math.expm1(min(v, eps)) - v) + beta * v
        for v in x.flatten().tolist()
    ]
    return torch.tensor(made, dtype=x.dtype).view_as(x)
