"""Parallel: several branches read the same input and their outputs are merged."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import Any, Literal

import torch
from torch import Tensor, nn

from blocks.ops.wants import call
from blocks.spec import Slot
from blocks.state import content_of, part_of
from blocks.step import Step
from blocks.wiring.named import build_named

__all__ = ["Parallel"]


class Parallel(nn.Module):
    r"""y = merge(branch_1(x), …, branch_n(x))

    Inside a Residual it is the parallel layer of GPT-J and PaLM (Chowdhery et al., 2022,
    arXiv:2204.02311): y = x + attention(norm x) + mlp(norm x).

    Args:
        dim: width D, given to every branch.
        branches: name -> slot of size (dim).
        merge: `sum`, `product`, or `concat` along the last axis.

    Shapes: [B T D] -> [B T D], or [B T n·D] for concat.

    Errors:
        SpecError: a name that a module can't have.

    Example:
        >>> import torch
        >>> from blocks import MLP, Parallel, Spec
        >>> both = Parallel(8, branches={"a": Spec(MLP, hidden=4), "b": Spec(MLP, hidden=6)})
        >>> both(torch.randn(1, 2, 8)).shape
        torch.Size([1, 2, 8])
    """

    def __init__(
        self,
        dim: int,
        *,
        branches: Mapping[str, Slot],
        merge: Literal["sum", "product", "concat"] = "sum",
    ):
        super().__init__()
        self.merge = merge
        self._wants = build_named(self, dim, branches)

    def forward(self, x: Tensor, step: Step | None = None, state: Any = None) -> Tensor:
        found = [
            call(part, x, step, part_of(state, name, len(self._wants)), self._wants[name])
            for name, part in self.named_children()
        ]
        if self.merge == "concat":
            return torch.cat(found, -1)  # B T n·D
        return reduce(torch.add if self.merge == "sum" else torch.mul, found)  # B T D

    def init_state(self, batch: int, room: int | None, dtype: torch.dtype, device: Any) -> Any:
        parts = self.named_children()
        return {name: content_of(part, batch, room, dtype, device) for name, part in parts}
