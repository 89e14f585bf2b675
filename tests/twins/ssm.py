"""State-space layers, one token after another, with whole matrices where the papers have them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tests.twins.convolutions import causal
from tests.twins.mlps import ACTIVATIONS, Params, Part, linear, sigmoid, softplus, under
from tests.twins.norms import gated_rms_norm


def conjugates(part: Tensor) -> Tensor:
    """All numbers of conjugate pairs, of which one is given as two reals: [N/2 2] -> [N]."""
    half = torch.complex(part[:, 0], part[:, 1])
    return torch.cat([half, half.conj()])


def continuous(p: Params, d: int) -> tuple[Tensor, Tensor, Tensor]:
    """A [N N], B [N] and C [N] of channel d, complex: h' = A h + B u, y = Re(C h)."""
    real = -p["A_log"][d].exp()
    if "A_imag" not in p:
        a = torch.complex(real, torch.zeros_like(real))
        return torch.diag(a), torch.ones_like(a), p["C"][d].to(a.dtype)
    a = conjugates(torch.stack([real, p["A_imag"][d]], -1))
    c = conjugates(p["C"][d])
    if "P" not in p:
        return torch.diag(a), torch.ones_like(a), c
    low = conjugates(p["P"][d])
    return torch.diag(a) - torch.outer(low, low.conj()), conjugates(p["B"][d]), c


def discrete(a: Tensor, b: Tensor, dt: Tensor, method: str) -> tuple[Tensor, Tensor]:
    """A and B of a step of length dt."""
    one, size = torch.eye(len(a), dtype=a.dtype), len(a)
    if method == "bilinear":
        inverse = torch.linalg.inv(one - dt * a / 2)
        return inverse @ (one + dt * a / 2), inverse @ (dt * b)
    # Exact for inputs that stay as they are between two tokens.
    both = torch.zeros(size + 1, size + 1, dtype=a.dtype)
    both[:size, :size], both[:size, size] = a, b
    both = exponential(dt * both)
    return both[:size, :size], both[:size, size]


def exponential(m: Tensor) -> Tensor:
    """Σ mᵏ / k! of a small part of m, squared as often. torch's loses half of the digits."""
    small, term = m / 256, torch.eye(len(m), dtype=m.dtype)
    y = term
    for k in range(1, 14):
        term = term @ small / k
        y = y + term
    for _ in range(8):
        y = y @ y
    return y


def time_invariant(p: Params, x: Tensor, method: str, act: str, out: str | None) -> Tensor:
    y = torch.empty_like(x)
    for d in range(x.shape[1]):
        a, b, c = continuous(p, d)
        a, b = discrete(a, b, p["log_dt"][d].exp(), method)
        h = torch.zeros_like(b)
        for t in range(len(x)):
            h = a @ h + b * x[t, d]
            y[t, d] = (c * h).sum().real + p["D"][d] * x[t, d]
    y = ACTIVATIONS[act](y)
    if out is None:
        return y
    y = linear(p, "out", y)
    return y if out == "linear" else y[:, : y.shape[1] // 2] * sigmoid(y[:, y.shape[1] // 2 :])


def s4(p: Params, x: Tensor, *, act: str = "gelu", out: str | None = "glu", **_: object) -> Tensor:
    return time_invariant(p, x, "bilinear", act, out)


def s4d(
    p: Params,
    x: Tensor,
    *,
    method: str = "zoh",
    act: str = "gelu",
    out: str | None = "glu",
    **_: object,
) -> Tensor:
    return time_invariant(p, x, method, act, out)


def mamba(
    p: Params,
    x: Tensor,
    *,
    state_dim: int = 16,
    act: str = "silu",
    norm: Part | None = None,
    **_: object,
) -> Tensor:
    channels, rank = p["A_log"].shape[0], p["dt.weight"].shape[1]
    both = linear(p, "inputs", x)
    u, z = both[:, :channels], both[:, channels:]
    u = ACTIVATIONS[act](causal(under(p, "conv"), u))
    h, said = torch.zeros(channels, state_dim, dtype=x.dtype), []
    for t in range(len(x)):
        every = linear(p, "select", u[t])
        parts = [every[:rank], every[rank : rank + state_dim], every[rank + state_dim :]]
        if norm is not None:
            parts = [norm(under(p, f"norms.{n}"), part[None])[0] for n, part in enumerate(parts)]
        delta, b, c = parts
        dt = softplus(linear(p, "dt", delta))
        y = torch.empty(channels, dtype=x.dtype)
        for n in range(channels):
            h[n] = torch.exp(-dt[n] * p["A_log"][n].exp()) * h[n] + b * dt[n] * u[t, n]
            y[n] = sum(c * h[n]) + p["D"][n] * u[t, n]
        said.append(linear(p, "out", y * z[t] * sigmoid(z[t])))
    return torch.stack(said)


def mamba2(
    p: Params,
    x: Tensor,
    *,
    heads: int,
    head_dim: int = 64,
    state_dim: int = 128,
    groups: int = 1,
    norm: Part | None = gated_rms_norm,
    limits: tuple[float, float] = (0.0, math.inf),
    **_: object,
) -> Tensor:
    inner, shared = heads * head_dim, groups * state_dim
    every = linear(p, "inputs", x)
    z, delta = every[:, :inner], every[:, -heads:]
    u = ACTIVATIONS["silu"](causal(under(p, "conv"), every[:, inner:-heads]))
    h, said = [torch.zeros(state_dim, head_dim, dtype=x.dtype)] * heads, []
    for t in range(len(x)):
        row = []
        for n in range(heads):
            g = n // (heads // groups) * state_dim
            own = u[t, n * head_dim : (n + 1) * head_dim]
            b = u[t, inner + g : inner + g + state_dim]
            c = u[t, inner + shared + g : inner + shared + g + state_dim]
            dt = min(max(float(softplus(delta[t, n] + p["dt_bias"][n])), limits[0]), limits[1])
            fade = math.exp(-dt * math.exp(p["A_log"][n]))
            h[n] = fade * h[n] + dt * torch.outer(b, own)
            row.append((h[n] * c[:, None]).sum(0) + p["D"][n] * own)
        y = torch.cat(row)
        gate = z[t] * sigmoid(z[t])
        y = y * gate if norm is None else norm(under(p, "norm"), y[None], z[t][None])[0]
        said.append(linear(p, "out", y))
    return torch.stack(said)
