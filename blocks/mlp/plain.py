"""The plain MLP: out, an activation, and back."""

from __future__ import annotations

from torch import Tensor, nn

from blocks.mlp.activations import Activation, activation
from blocks.ops.check import check_positive, check_rate, check_width
from blocks.spec import Slot

__all__ = ["MLP"]


class MLP(nn.Module):
    r"""y = W_down act(W_up x)        Vaswani et al., 2017, arXiv:1706.03762, section 3.3

    Args:
        dim: width D.
        hidden: width F between.
        act: the activation, by name or as a slot of size (hidden): `XIELU`.
        bias: biases on both projections.
        dropout: rate at which hidden channels are dropped in training.

    Shapes: x [... D] -> [... D]. D dim, F hidden.

    Example:
        >>> import torch
        >>> from blocks import MLP
        >>> MLP(16, hidden=64, act="relu2")(torch.randn(2, 3, 16)).shape
        torch.Size([2, 3, 16])
    """

    def __init__(
        self,
        dim: int,
        *,
        hidden: int,
        act: Activation | Slot = "gelu",
        bias: bool = True,
        dropout: float = 0.0,
    ):
        super().__init__()
        check_positive("MLP", dim=dim, hidden=hidden)
        check_rate("MLP", dropout=dropout)
        self.dim = dim
        self.up = nn.Linear(dim, hidden, bias=bias)
        self.drop = nn.Dropout(dropout)
        self.down = nn.Linear(hidden, dim, bias=bias)
        self.act = act(hidden) if callable(act) else activation(act)

    def forward(self, x: Tensor) -> Tensor:
        check_width(x, self.dim, "MLP")
        return self.down(self.drop(self.act(self.up(x))))  # ... D
