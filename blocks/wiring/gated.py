"""GatedMixer: one branch remembers, another opens and closes its channels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from blocks.mlp.activations import Activation, activation
from blocks.ops.check import check_input, check_positive
from blocks.ops.wants import call
from blocks.spec import Slot
from blocks.state import content_of, part_of
from blocks.step import Step
from blocks.wiring.named import build_named

__all__ = ["GatedMixer"]


class GatedMixer(nn.Module):
    r"""y = W_down (act(W_gate x) ⊙ step_n(… step_1(W_up x)))

    With the steps `CausalConv` and `RGLRU` it is the recurrent block of De et al., "Griffin", 2024,
    arXiv:2402.19427, figure 2; with `S4D` that of Mehta et al., "Long range language modeling via
    gated state spaces", 2022, arXiv:2206.13947, without its narrower inside.

    Args:
        dim: width D of the input and output.
        steps: name -> slot of size (inner), in order.
        inner: width C inside; D by default.
        act: the activation of the gate.
        bias: biases on all three projections.

    Shapes: x [B T D] -> [B T D].

    Errors:
        SpecError: a name that a module can't have, or an input of another width.

    Example:
        >>> import torch
        >>> from blocks import CausalConv, GatedMixer, RGLRU, Spec
        >>> steps = {"conv": Spec(CausalConv, kernel=4), "lru": Spec(RGLRU, heads=4)}
        >>> GatedMixer(16, steps=steps, inner=32)(torch.randn(1, 5, 16)).shape
        torch.Size([1, 5, 16])
    """

    def __init__(
        self,
        dim: int,
        *,
        steps: Mapping[str, Slot],
        inner: int | None = None,
        act: Activation = "gelu_tanh",
        bias: bool = True,
    ):
        super().__init__()
        check_positive("GatedMixer", dim=dim, inner=inner)
        self.dim, inner = dim, inner or dim
        self.gate = nn.Linear(dim, inner, bias=bias)
        self.up = nn.Linear(dim, inner, bias=bias)
        self._wants = build_named(self, inner, steps)
        self.down = nn.Linear(inner, dim, bias=bias)
        self.act = activation(act)

    def forward(self, x: Tensor, step: Step | None = None, state: Any = None) -> Tensor:
        check_input(x, self.dim, "GatedMixer")
        y = self.up(x)  # B T C
        for name, wanted in self._wants.items():
            memory = part_of(state, name, len(self._wants))
            y = call(getattr(self, name), y, step, memory, wanted)
        return self.down(self.act(self.gate(x)) * y)  # B T D

    def init_state(self, batch: int, room: int | None, dtype: torch.dtype, device: Any) -> Any:
        like = (batch, room, dtype, device)
        return {name: content_of(getattr(self, name), *like) for name in self._wants}
