"""A gate on what attention finds, which the token that asked opens."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from blocks.mlp.activations import Activation, activation
from blocks.ops.check import check_positive, check_width

__all__ = ["OutputGate"]


class OutputGate(nn.Module):
    r"""y_h ↦ y_h ⊙ act(W_h x + b_h)

    so that a token can leave what a head found where it is, which else only a sink lets it. Qiu et
    al., "Gated attention for large language models", 2025, arXiv:2505.06708.

    Args:
        dim: width D of what attention reads.
        heads, value_dim: heads H and the width V of what each finds.
        act: what bounds the gate, by name: `sigmoid`, or `softplus`, which only keeps its sign.
        over: each `channel` of a head has a gate of its own, or the `head` has one.
        bias: whether b is learnt for each gate.
        head_bias: whether b is learnt for each head.

    Shapes: y [B H T V], x [B T D] -> [B H T V].

    Errors:
        SpecError: a size below one, or an input of another width.

    Example:
        >>> import torch
        >>> from blocks import GQAttention, OutputGate, Spec
        >>> attention = GQAttention(64, heads=8, gate=Spec(OutputGate, over="head"))
        >>> attention.gate.weight.shape
        torch.Size([8, 64])
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        value_dim: int,
        *,
        act: Activation = "sigmoid",
        over: Literal["channel", "head"] = "channel",
        bias: bool = False,
        head_bias: bool = False,
    ):
        super().__init__()
        check_positive("OutputGate", dim=dim, heads=heads, value_dim=value_dim)
        self.dim, self.heads, self.act = dim, heads, activation(act)
        gates = heads * value_dim if over == "channel" else heads
        self.weight = nn.Parameter(torch.empty(gates, dim))
        self.bias = nn.Parameter(torch.empty(gates)) if bias else None
        self.head_bias = nn.Parameter(torch.empty(heads)) if head_bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.uniform_(self.weight, -(self.dim**-0.5), self.dim**-0.5)
        for bias in (self.bias, self.head_bias):
            if bias is not None:
                nn.init.zeros_(bias)

    def forward(self, y: Tensor, x: Tensor) -> Tensor:
        return self.gated(y, self.product(x))

    def product(self, x: Tensor) -> Tensor:
        """W x + b."""
        check_width(x, self.dim, "OutputGate")
        return nn.functional.linear(x, self.weight, self.bias)  # B T H·V or B T H

    def gated(self, y: Tensor, gate: Tensor) -> Tensor:
        """What the heads found, as far as the gate lets it through."""
        gate = gate.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # B H T V or B H T 1
        gate = gate if self.head_bias is None else gate + self.head_bias[:, None, None]
        return y * self.act(gate)
