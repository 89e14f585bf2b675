"""What a recurrent Boltzmann machine sees when it is left alone."""

from __future__ import annotations

import torch
from torch import Tensor

from blocks.errors import GenerationError
from blocks.generation.seeds import seeded
from blocks.ops.boltzmann import gibbs
from blocks.ops.check import check_module, check_tensor
from blocks.ops.rows import Rows
from blocks.recurrent.rtrbm import RTRBM

__all__ = ["dream"]


@torch.no_grad()
def dream(
    machine: RTRBM, v: Tensor, most: int, *, updates: int = 25, seed: int | None = None
) -> Tensor:
    """Steps that follow v [B T D], drawn one after another: [B most D] of zeros and ones.

    Args:
        machine: what dreams.
        v: what it has seen, at least one step.
        most: how many steps to draw.
        updates: Gibbs updates of each step, which begin at the step before.
        seed: of what is drawn.

    Errors:
        GenerationError: nothing to begin with, or a number below 1.

    Example:
        >>> import torch
        >>> from blocks import RTRBM, dream
        >>> dream(RTRBM(4, hidden=3), torch.zeros(2, 5, 4), 6, seed=0).shape
        torch.Size([2, 6, 4])
    """
    check_module(machine, RTRBM, "machine", GenerationError)
    check_tensor(v, "v")
    if v.numel() == 0 or v.dim() != 3 or v.shape[-1] != machine.dim:
        raise GenerationError(f"is {list(v.shape)}, not [B T {machine.dim}]", field="v")
    if most < 1 or updates < 1:
        raise GenerationError(f"{most} steps of {updates} updates", field="most")
    generator = seeded(seed, v.device)
    _, _, c = machine.run(v, Rows())
    found = [v[:, -1:]]
    for _ in range(most):
        new = gibbs(found[-1][:, 0], machine.weight, machine.visible, c, updates, generator)
        found.append(new[:, None])
        _, _, c = machine.run(found[-1], Rows(), c)
    return torch.cat(found[1:], 1)
