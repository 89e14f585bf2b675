"""Handed: a layer that begins with what another one remembered at its end."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from blocks.attention.crossmemory import first_real, memory_of
from blocks.errors import SpecError
from blocks.ops.check import check_input
from blocks.ops.wants import call, wants
from blocks.spec import Slot
from blocks.state import content_of, leaves
from blocks.step import Step

__all__ = ["Handed"]


class Handed(nn.Module):
    r"""y = inner(x), where inner's state begins as the first place of the step's memory

    The state's tensors stand there one after another, as `FinalStates` leaves them. Sutskever et
    al., "Sequence to sequence learning with neural networks", 2014, arXiv:1409.3215.

    Like a Residual it has no address of its own.

    Args:
        dim: width D.
        inner: slot of size (dim), a block that remembers.

    Shapes: x [B T D], step.memory [B M W] -> what inner gives.

    Errors:
        SpecError: an inner block that remembers nothing, an input of another width, a memory that
            is no state of it, or packed documents.
        GenerationError: a first step without a memory.

    Example:
        >>> import torch
        >>> from blocks import GRU, Handed, Spec, Step
        >>> block = Handed(8, inner=Spec(GRU, depth=2))
        >>> step = Step(torch.arange(5)[None], memory=torch.randn(1, 1, 16))
        >>> block(torch.randn(1, 5, 8), step).shape
        torch.Size([1, 5, 8])
    """

    transparent = "inner"

    def __init__(self, dim: int, *, inner: Slot):
        super().__init__()
        self.dim = dim
        self.inner = inner(dim)
        if content_of(self.inner, 1, None, torch.get_default_dtype(), None) is None:
            raise SpecError(f"{type(self.inner).__name__} remembers nothing", field="Handed.inner")
        self._wants = wants(self.inner)

    def forward(self, x: Tensor, step: Step, state: Any = None) -> Tensor:
        check_input(x, self.dim, "Handed")
        if step.segments is not None:
            raise SpecError("packed documents have one memory", field="segments")
        if state is None:
            state = content_of(self.inner, len(x), None, x.dtype, x.device)
            self._begin(step, state)
        elif step.clock is None or step.clock.used == 0:
            self._begin(step, state)
        return call(self.inner, x, step, state, self._wants)

    def _begin(self, step: Step, state: Any) -> None:
        """The state as the memory has it."""
        memory = memory_of(step)
        given = first_real(memory, step.memory_real)  # B W
        parts = [(leaf, name, old) for leaf in leaves(state) for name, old in leaf.tensors()]
        sizes = [old.shape[1:].numel() for _, _, old in parts]
        if sum(sizes) != given.shape[-1]:
            reason = f"a memory {given.shape[-1]} wide is no state of {sum(sizes)} numbers"
            raise SpecError(reason, field="step.memory")
        for (leaf, name, old), new in zip(parts, given.split(sizes, -1), strict=True):
            setattr(leaf, name, new.to(old.dtype).unflatten(1, old.shape[1:]))

    def init_state(self, batch: int, room: int | None, dtype: torch.dtype, device: Any) -> Any:
        return content_of(self.inner, batch, room, dtype, device)
