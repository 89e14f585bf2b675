"""Chain: named steps, one after another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from blocks.ops.wants import call
from blocks.spec import Slot
from blocks.state import content_of, part_of
from blocks.step import Step
from blocks.wiring.named import build_named

__all__ = ["Chain"]


class Chain(nn.Module):
    r"""y = step_n(… step_2(step_1(x)))

    Steps are registered under their own names: the chain `{"attention": …, "mlp": …}` of layer 3
    has its parts at `layers.3.attention` and `layers.3.mlp`.

    Args:
        dim: width D, given to every step.
        steps: name -> slot of size (dim), in order.

    Shapes: [B T D] -> [B T D].

    Errors:
        SpecError: a name that a module can't have.

    Example:
        >>> import torch
        >>> from blocks import Chain, MLP, RMSNorm, Spec
        >>> chain = Chain(8, steps={"norm": Spec(RMSNorm), "mlp": Spec(MLP, hidden=16)})
        >>> chain(torch.randn(1, 2, 8)).shape
        torch.Size([1, 2, 8])
    """

    def __init__(self, dim: int, *, steps: Mapping[str, Slot]):
        super().__init__()
        self._wants = build_named(self, dim, steps)

    def forward(self, x: Tensor, step: Step | None = None, state: Any = None) -> Tensor:
        for name, part in self.named_children():
            x = call(part, x, step, part_of(state, name, len(self._wants)), self._wants[name])
        return x  # B T D

    def init_state(self, batch: int, room: int | None, dtype: torch.dtype, device: Any) -> Any:
        parts = self.named_children()
        return {name: content_of(part, batch, room, dtype, device) for name, part in parts}
