"""Gated MLP: one projection opens and closes the channels of another."""

from __future__ import annotations

from torch import Tensor, nn

from blocks.mlp.activations import Activation, activation
from blocks.ops import learnt
from blocks.ops.check import check_positive, check_rate, check_width
from blocks.ops.together import opened

__all__ = ["GatedMLP"]


class GatedMLP(nn.Module):
    r"""y = W_down (act(W_gate x) ⊙ W_up x)        Shazeer, "GLU variants", 2020, arXiv:2002.05202

    With act = silu this is SwiGLU, with gelu GEGLU.

    Args:
        dim: width D.
        hidden: width F between.
        act: the activation of the gate.
        bias: biases on all three projections.
        dropout: rate at which hidden channels are dropped in training.

    Shapes: x [... D] -> [... D]. D dim, F hidden.

    Example:
        >>> import torch
        >>> from blocks import GatedMLP
        >>> GatedMLP(16, hidden=64)(torch.randn(2, 3, 16)).shape
        torch.Size([2, 3, 16])
    """

    def __init__(
        self,
        dim: int,
        *,
        hidden: int,
        act: Activation = "silu",
        bias: bool = False,
        dropout: float = 0.0,
    ):
        super().__init__()
        check_positive("GatedMLP", dim=dim, hidden=hidden)
        check_rate("GatedMLP", dropout=dropout)
        self.dim = dim
        self.gate = nn.Linear(dim, hidden, bias=bias)
        self.up = nn.Linear(dim, hidden, bias=bias)
        self.drop = nn.Dropout(dropout)
        self.down = nn.Linear(hidden, dim, bias=bias)
        self.act = activation(act)

    def forward(self, x: Tensor) -> Tensor:
        check_width(x, self.dim, "GatedMLP")
        gated = opened(x, self.gate, self.up, self.act)  # ... F
        return self.down(self.drop(gated))  # ... D

    def gated(self, gate: Tensor, up: Tensor) -> Tensor:
        return learnt.gated(self.act, gate, up)

    def alike(self, other: nn.Module) -> bool:
        """Whether another differs in its weights alone."""
        return type(other) is type(self) and other.act is self.act
