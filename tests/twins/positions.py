"""Positions, place by place and pair by pair. One sequence: x [T D], q and k [H T E]."""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from tests.twins.facts import Facts
from tests.twins.mlps import ACTIVATIONS, Params
from tests.twins.scalings import plain


def rope(
    p: Params,
    q: Tensor,
    k: Tensor,
    *,
    facts: Facts,
    theta: float,
    rotated: float,
    pairing: str,
    scaling: Callable[..., Any] | None,
) -> tuple[Tensor, Tensor]:
    """Each pair of channels is a complex number, turned by e^(i m ω)."""
    dims = int(q.shape[-1] * rotated)
    omegas, magnitude = plain(theta, dims), 1.0
    if scaling is not None:
        omegas, magnitude = scaling(theta, dims, facts.length)

    def turned(x: Tensor) -> Tensor:
        y = x.clone()
        for h in range(x.shape[0]):
            for t, m in enumerate(facts.positions):
                for i, omega in enumerate(omegas):
                    a, b = (i, i + dims // 2) if pairing == "half" else (2 * i, 2 * i + 1)
                    z = complex(x[h, t, a], x[h, t, b]) * magnitude * cmath.exp(1j * m * omega)
                    y[h, t, a], y[h, t, b] = z.real, z.imag
        return y

    return turned(q), turned(k)


def query_scale(
    p: Params, q: Tensor, k: Tensor, *, facts: Facts, growth: float, trained: int, by: str
) -> tuple[Tensor, Tensor]:
    y = q.clone()
    for t, m in enumerate(facts.positions):
        if by == "log":
            y[:, t] = q[:, t] * (1 + growth * math.log(1 + math.floor(m / trained)))
        else:
            y[:, t] = q[:, t] * (1 + (m + 1) / trained) ** growth
    return y, k


def slopes(heads: int, max_bias: float) -> list[float]:
    """Of a power of two of heads 2^(−max_bias h / H); else every second of the next power's."""
    power = 2 ** math.ceil(math.log2(heads))
    every = [2 ** (-max_bias * (h + 1) / power) for h in range(power)]
    return every if power == heads else (every[1::2] + every[::2])[:heads]


def alibi(
    p: Params,
    q_positions: Tensor | Sequence[int],
    k_positions: Tensor | Sequence[int],
    *,
    heads: int,
    max_bias: float,
    scale: float,
) -> Tensor:
    """The block is told no dtype: its numbers are of 32 bits, in models of 64 too."""
    rows = []
    for slope in slopes(heads, max_bias):
        m = torch.tensor(slope * scale, dtype=torch.float32)
        rows.append([[-m * abs(int(a) - int(b)) for b in k_positions] for a in q_positions])
    return torch.tensor(rows, dtype=torch.float64)


def relative_bias(
    p: Params,
    q_positions: Tensor | Sequence[int],
    k_positions: Tensor | Sequence[int],
    *,
    buckets: int,
    distance: int,
    both_ways: bool,
) -> Tensor:
    def bucket(ahead: int) -> int:
        side = buckets // 2 if both_ways else buckets
        first = side if both_ways and ahead > 0 else 0
        far = abs(ahead) if both_ways else max(-ahead, 0)
        near = side // 2
        if far < near:
            return first + far
        # Bucket near + n holds distances from near · (distance / near)^(n / (side − near)) on.
        edges = [near * (distance / near) ** (n / (side - near)) for n in range(side - near)]
        return first + near - 1 + sum(far >= edge for edge in edges)

    rows = [[p["weight"][bucket(int(k) - int(q))] for k in k_positions] for q in q_positions]
    return torch.stack([torch.stack(row) for row in rows]).permute(2, 0, 1)  # H T S


def waves(place: float, dim: int, *, layout: str, theta: float, endpoint: bool) -> Tensor:
    """The sines and cosines of one place."""
    n = dim // 2 - 1 if endpoint else dim // 2
    y = torch.empty(dim, dtype=torch.float64)
    for i in range(dim // 2):
        angle = place / theta ** (i / n)
        a, b = (2 * i, 2 * i + 1) if layout == "interleaved" else (i, dim // 2 + i)
        y[a], y[b] = math.sin(angle), math.cos(angle)
    return y


def sinusoidal(
    p: Params, x: Tensor, *, facts: Facts, offset: int, scale: float, **how: Any
) -> Tensor:
    rows = [waves(m + offset, x.shape[-1], **how) for m in facts.positions]
    return x + scale * torch.stack(rows)


def learned(p: Params, x: Tensor, *, facts: Facts, rows: int, offset: int) -> Tensor:
    assert len(p["weight"]) == rows
    return torch.stack(
        [v + p["weight"][m + offset] for v, m in zip(x, facts.positions, strict=True)]
    )


def axial(
    p: Params, x: Tensor, *, facts: Facts, shape: tuple[int, ...], widths: tuple[int, ...]
) -> Tensor:
    y, grid = x.clone(), [0] * len(shape)
    by_place = {}
    for place in range(math.prod(shape)):  # counted up like an odometer
        parts = [p[f"weights.{n}"].reshape(shape[n], widths[n])[i] for n, i in enumerate(grid)]
        by_place[place] = torch.cat(parts)
        for n in reversed(range(len(shape))):
            grid[n] = (grid[n] + 1) % shape[n]
            if grid[n]:
                break
    for t, m in enumerate(facts.positions):
        for channel in range(x.shape[-1]):
            y[t, channel] += by_place[m][channel % sum(widths)]
    return y


def convolved(p: Params, x: Tensor, *, kernel: int, groups: int, act: str) -> Tensor:
    """Place k of the kernel looks at the token k − ⌊kernel / 2⌋ away; zeros beyond the ends."""
    tokens, dim = x.shape
    width, y = dim // groups, torch.empty_like(x)
    for t in range(tokens):
        for out in range(dim):
            total, first = p["bias"][out], out // width * width
            for k in range(kernel):
                direction = p["weight"][:, :, k] / (p["weight"][:, :, k] ** 2).sum() ** 0.5
                at = t + k - kernel // 2
                if 0 <= at < tokens:
                    total = total + p["gain"][0, 0, k] * sum(
                        direction[out] * x[at, first : first + width]
                    )
            y[t, out] = total
    return x + ACTIVATIONS[act](y)
