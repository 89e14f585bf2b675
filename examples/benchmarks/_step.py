"""A step of training, the same for every library: forward, backward and AdamW."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

import torch
from _memory import beyond
from torch import Tensor, nn

Step = Callable[[], Tensor]


def stepping(model: nn.Module, loss: Callable[[], Tensor], keep: bool = False) -> Step:
    """One step of training; gradients are kept allocated or not."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)

    def step() -> Tensor:
        optimiser.zero_grad(set_to_none=not keep)
        found = loss()
        found.backward()
        optimiser.step()
        return found.detach()

    return step


def peak(step: Step) -> float:
    """MiB that a step takes beyond parameters, gradients and the optimiser's state.

    Those are there before it, where gradients are kept.
    """
    for _ in range(2):
        step()
    return beyond(step)


def taken(step: Step, memory: bool = False) -> tuple[float, ...]:
    """What a round tells: seconds, or MiB."""
    if memory:
        return (peak(step),)
    start = perf_counter()
    step()
    return (perf_counter() - start,)
