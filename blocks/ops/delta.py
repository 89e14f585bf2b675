"""The gated delta rule on tensors: a loop, and the same a chunk of tokens at a time."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

__all__: list[str] = []


def unit(x: Tensor) -> Tensor:
    """x at length 1, or shorter where there is almost nothing of it."""
    return x * (x.square().sum(-1, keepdim=True) + 1e-6).rsqrt()


def delta_loop(
    q: Tensor, k: Tensor, v: Tensor, decay: Tensor, beta: Tensor, start: Tensor
) -> tuple[Tensor, Tensor]:
    r"""For each head, one token after another, with S [E V] from `start` on:

        R_t = exp(decay_t) S_{t−1}
        S_t = R_t + k_t ⊗ β_t (v_t − R_tᵀ k_t),        y_t = S_tᵀ q_t / √E

    Args:
        q, k: [B T K E]; each of the K heads serves H / K neighbours.
        v: [B T H V].
        decay: [B T H], logarithms, none above 0.
        beta: [B T H], β.
        start: [B H E V].

    Returns:
        y [B T H V] and the last S.
    """
    q, k = _spread(q, k, v)
    memory, found = start, []
    for t in range(v.shape[1]):
        memory = memory * decay[:, t].exp()[..., None, None]
        held = (k[:, t, :, None] @ memory)[..., 0, :]  # B H V
        new = beta[:, t, :, None] * (v[:, t] - held)
        memory = memory + k[:, t, ..., None] * new[..., None, :]
        found.append((q[:, t, :, None] @ memory)[..., 0, :])
    return torch.stack(found, 1), memory


def delta_rule(
    q: Tensor, k: Tensor, v: Tensor, decay: Tensor, beta: Tensor, start: Tensor, chunk: int
) -> tuple[Tensor, Tensor]:
    r"""The same; arguments and result as those of `delta_loop`.

    What the tokens of a chunk write depends on each other by a triangular system, whose solution
    is linear in the S before the chunk: U − W S. Systems of all chunks are solved at once, and
    only the products with S follow one after another. Yang et al., "Parallelizing linear
    transformers with the delta rule", 2024, arXiv:2406.06484, section 3; with decay Yang et al.,
    2024, arXiv:2412.06464, section 3.3.

    Args:
        chunk: tokens C of a chunk. It changes the speed, not the result.
    """
    length = v.shape[1]
    if length == 1:
        return delta_loop(q, k, v, decay, beta, start)
    chunk, (q, k) = min(chunk, length), _spread(q, k, v)
    decay = _Plain.apply(decay)
    q, k, v = (_chunks(x, chunk) for x in (q, k, v))  # B H G C …
    decay, beta = _chunks(decay, chunk), _chunks(beta, chunk)[..., None]  # B H G C
    between = _between(decay)  # B H G C C
    decay = decay.cumsum(-1).exp()[..., None]  # B H G C 1
    system = beta * (k @ k.transpose(-1, -2)) * between
    sides = torch.cat([beta * v, beta * decay * k], -1)
    solved = torch.linalg.solve_triangular(system, sides, upper=False, unitriangular=True)
    u, w = solved.split([v.shape[-1], k.shape[-1]], -1)
    inside = (q @ k.transpose(-1, -2)) * between
    q = q * decay
    k = (k * between[..., -1, :, None]).transpose(-1, -2)
    kept = decay[..., -1:, :]  # B H G 1 1
    memory, found = start, []
    for g in range(v.shape[2]):
        new = u[:, :, g] - w[:, :, g] @ memory  # B H C V
        found.append(q[:, :, g] @ memory + inside[:, :, g] @ new)
        memory = memory * kept[:, :, g] + k[:, :, g] @ new
    return torch.cat(found, 2)[:, :, :length].transpose(1, 2), memory


class _Plain(torch.autograd.Function):
    """The same, with a gradient that lies in memory as compilers expect it of a softplus."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return grads[0].contiguous()


def _between(decay: Tensor) -> Tensor:
    """[… C] -> [… C C]: what is left at i of what was written at j, 0 where that was later.

    Sums of the logarithms from j to i: differences of sums from the start would be inexact.
    """
    size = decay.shape[-1]
    ones = torch.ones(size, size, dtype=torch.bool, device=decay.device)
    steps = decay[..., None].expand(*decay.shape, size).masked_fill(ones.triu(), 0)
    return steps.cumsum(-2).masked_fill(ones.triu(1), -math.inf).exp()


def _spread(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Queries, scaled, and keys for every head of the values."""
    times = v.shape[2] // k.shape[2]
    q = q * q.shape[-1] ** -0.5
    return q.repeat_interleave(times, 2), k.repeat_interleave(times, 2)


def _chunks(x: Tensor, chunk: int) -> Tensor:
    """[B T H …] -> [B H G C …], filled up with zeros: tokens that neither write nor decay."""
    short = -x.shape[1] % chunk
    if short:
        x = torch.cat([x, torch.zeros_like(x[:, :1]).expand(-1, short, *x.shape[2:])], 1)
    return x.transpose(1, 2).unflatten(2, (-1, chunk))
