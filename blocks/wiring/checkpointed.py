"""Checkpointed: a block that keeps its input alone for the backward pass, and runs again in it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from blocks.ops.wants import call, wants
from blocks.ops.watch import looking
from blocks.spec import Slot
from blocks.state import content_of
from blocks.step import Step

__all__ = ["Checkpointed"]


class Checkpointed(nn.Module):
    r"""y = inner(x), of which the backward pass finds again what a gradient needs

    Layers wrapped in it keep D numbers a token each instead of all between, for one more forward
    pass; gradients are the same to the bit, also where channels are dropped. Chen et al., "Training
    deep nets with sublinear memory cost", 2016, arXiv:1604.06174. With a state, without gradients
    and in `torch.compile`, which chooses for itself what to keep, it is `inner`.

    Like a Residual it has no address of its own, so every layer of a model is wrapped by
    `rewrite(spec, "layers.*", lambda old: Spec(Checkpointed, inner=old))`.

    Args:
        dim: width D.
        inner: what is wrapped, any slot of size (dim).

    Shapes: [B T D] -> what inner gives.

    Example:
        >>> import torch
        >>> from blocks import Checkpointed, MLP, Spec
        >>> Checkpointed(8, inner=Spec(MLP, hidden=16))(torch.randn(1, 2, 8)).shape
        torch.Size([1, 2, 8])
    """

    transparent = "inner"

    def __init__(self, dim: int, *, inner: Slot):
        super().__init__()
        self.inner = inner(dim)
        self._wants = wants(self.inner)

    def forward(self, x: Tensor, step: Step | None = None, state: Any = None) -> Tensor:
        kept = not torch.is_grad_enabled() or torch.compiler.is_compiling()
        if state is not None or kept or looking():  # who looks would see it run again
            return call(self.inner, x, step, state, self._wants)
        # What was laid down by now; later layers go on writing into the step.
        before = None if step is None else _copied(step)
        first = True

        def run(x: Tensor) -> Tensor:
            nonlocal first
            known = step if first or before is None else _copied(before)
            first = False
            return call(self.inner, x, known, None, self._wants)

        return checkpoint(run, x, use_reentrant=False)  # pyright: ignore[reportReturnType]  # checkpoint is untyped

    def init_state(self, batch: int, room: int | None, dtype: torch.dtype, device: Any) -> Any:
        return content_of(self.inner, batch, room, dtype, device)


def _copied(step: Step) -> Step:
    return replace(step, saved=dict(step.saved), _made=dict(step._made))
