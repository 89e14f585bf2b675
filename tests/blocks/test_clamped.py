"""The clamped MLP, written as its equation."""

from __future__ import annotations

import math

import torch

from blocks import ClampedGLU
from blocks.testing.subject import disturb


def test_the_naive_twin() -> None:
    mlp = ClampedGLU(6, hidden=5, alpha=1.3, limit=0.8, bias=True).double()
    disturb(mlp)
    x = torch.randn(4, 6, dtype=torch.float64) * 3
    clamped = set()
    for row in x:
        hidden = []
        for g, u in zip(mlp.gate(row).tolist(), mlp.up(row).tolist(), strict=True):
            clamped |= {g > 0.8, g < -0.8 and "low", abs(u) > 0.8 and "up"}
            gate, up = min(g, 0.8), max(-0.8, min(u, 0.8))
            hidden.append(gate / (1 + math.exp(-1.3 * gate)) * (up + 1))
        wanted = mlp.down(torch.tensor(hidden, dtype=torch.float64))
        torch.testing.assert_close(mlp(row), wanted)
    assert {True, False, "low", "up"} <= clamped, "every bound is met"
