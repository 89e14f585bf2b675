"""Restricted Boltzmann machines of units that are 0 or 1: p(v, h) ∝ exp(hᵀ W v + bᵀ v + cᵀ h)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from blocks.errors import SpecError

__all__: list[str] = []

_MOST = 16  # units of which all states are counted


def check_units(v: Tensor, real: Tensor | None, *, sure: bool = False) -> None:
    """Refuses v [B T D] that holds no states of units: each is 0 or 1, or unless all are `sure` the
    probability of 1. What is not `real` [B T] counts for nothing; nor is it asked for in a graph.

    Errors:
        SpecError: other values.
    """
    if v.is_meta or torch.compiler.is_compiling():
        return
    fits = (v == 0) | (v == 1) if sure else (v >= 0) & (v <= 1)  # what is not a number doesn't
    wrong = ~fits if real is None else ~fits & real[..., None]
    if bool(wrong.any()):
        among = "0 or 1" if sure else "from 0 to 1"
        reason = f"units are {among}, not {float(v.detach()[wrong][0]):g}"
        raise SpecError(reason, field="x", hint="draw them, or scale what is seen")


def free_energy(v: Tensor, weight: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """−log Σ_h exp(hᵀ W v + bᵀ v + cᵀ h), [...] of v [... D], W [H D], b [D] and c [... H]."""
    return -(v @ b) - F.softplus(F.linear(v, weight) + c).sum(-1)


def log_partition(weight: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """log Σ_{v, h} exp(hᵀ W v + bᵀ v + cᵀ h), [...] of c [... H]: states of one side are counted.

    Errors:
        SpecError: more than 16 units on the smaller side.
    """
    units = min(weight.shape)
    if units > _MOST:
        raise SpecError(f"{units} units have too many states to count", field="hidden")
    bits = torch.arange(2**units, device=c.device)[:, None] >> torch.arange(units, device=c.device)
    states = (bits & 1).to(c.dtype)  # 2^n n
    if len(weight) == units:
        return torch.logsumexp(c @ states.t() + F.softplus(states @ weight + b).sum(-1), -1)
    return torch.logsumexp(-free_energy(states, weight, b, c[..., None, :]), -1)


@torch.no_grad()
def gibbs(
    v: Tensor,
    weight: Tensor,
    b: Tensor,
    c: Tensor,
    steps: int,
    generator: torch.Generator | None = None,
) -> Tensor:
    """v [... D] after so many updates of all hidden and then all visible units."""
    for _ in range(steps):
        h = torch.bernoulli(torch.sigmoid(F.linear(v, weight) + c), generator=generator)
        v = torch.bernoulli(torch.sigmoid(h @ weight + b), generator=generator)
    return v


def divergence(
    v: Tensor,
    weight: Tensor,
    b: Tensor,
    c: Tensor,
    steps: int,
    generator: torch.Generator | None = None,
) -> Tensor:
    """By how much likelier Gibbs updates would make v, [...]: its gradient is that of CD."""
    other = gibbs(v, weight, b, c, steps, generator)
    return free_energy(v, weight, b, c) - free_energy(other, weight, b, c)
