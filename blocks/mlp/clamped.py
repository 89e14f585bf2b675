"""Clamped gated MLP: a gate and values held within bounds before they meet."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from blocks.ops.check import check_positive, check_rate
from blocks.ops.together import together

__all__ = ["ClampedGLU"]


class ClampedGLU(nn.Module):
    r"""g = min(W_gate x, limit),   u = clamp(W_up x, −limit, limit)

        y = W_down (g · σ(alpha · g) ⊙ (u + 1))

    so that no hidden channel can run away. OpenAI, "gpt-oss", 2025, arXiv:2508.10925.

    Args:
        dim: width D.
        hidden: width F between.
        alpha: how steeply the gate opens; 1.702 comes near x·Φ(x).
        limit: the largest gate, and the largest value either way.
        bias: biases on all three projections.
        dropout: rate at which hidden channels are dropped in training.

    Shapes: x [... D] -> [... D]. D dim, F hidden.

    Example:
        >>> import torch
        >>> from blocks import ClampedGLU
        >>> ClampedGLU(16, hidden=64)(torch.randn(2, 3, 16)).shape
        torch.Size([2, 3, 16])
    """

    def __init__(
        self,
        dim: int,
        *,
        hidden: int,
        alpha: float = 1.702,
        limit: float = 7.0,
        bias: bool = False,
        dropout: float = 0.0,
    ):
        super().__init__()
        check_positive("ClampedGLU", dim=dim, hidden=hidden, alpha=alpha, limit=limit)
        check_rate("ClampedGLU", dropout=dropout)
        self.alpha, self.limit = alpha, limit
        self.gate = nn.Linear(dim, hidden, bias=bias)
        self.up = nn.Linear(dim, hidden, bias=bias)
        self.drop = nn.Dropout(dropout)
        self.down = nn.Linear(hidden, dim, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        gated = self.gated(*together(x, self.gate, self.up))  # ... F
        return self.down(self.drop(gated))  # ... D

    def gated(self, gate: Tensor, up: Tensor) -> Tensor:
        gate, up = gate.clamp(max=self.limit), up.clamp(-self.limit, self.limit)
        return gate * torch.sigmoid(self.alpha * gate) * (up + 1)

    def alike(self, other: nn.Module) -> bool:
        """Whether another differs in its weights alone."""
        both = type(other) is type(self)
        return both and (other.alpha, other.limit) == (self.alpha, self.limit)
