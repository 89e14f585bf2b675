"""What cross-attention remembers: the keys and values of the other sequence, computed once."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from blocks.errors import GenerationError
from blocks.state import Content
from blocks.step import Step

__all__ = ["CrossState"]


@dataclass
class CrossState(Content):
    """Keys and values [B K M E] of a memory of M places, None until the first step has read it.

    Later steps need the memory no more; rows that are selected take theirs along. Forgetting the
    newest tokens leaves it as it is: they are the own sequence's.
    """

    k: Tensor | None = None
    v: Tensor | None = None
    real: Tensor | None = None
    trims = True


def memory_of(step: Step) -> Tensor:
    """The other sequence [B M R], of a step that must have one."""
    if step.memory is None:
        raise GenerationError("there is no other sequence to read", field="step.memory")
    return step.memory


def first_real(memory: Tensor, real: Tensor | None) -> Tensor:
    """[B R], what stands at the first place of each memory that is real."""
    if real is None:
        return memory[:, 0]
    return memory[torch.arange(len(memory), device=memory.device), real.int().argmax(1)]
