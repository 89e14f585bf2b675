"""What is the same for every library: how a side begins, and a step of training."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

import torch
from _memory import beyond
from _served import Once
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


def maker(
    built: Callable[[dict[str, Any], str], nn.Module],
    writing: Callable[[Any], Once],
    training: Callable[..., Once],
) -> Callable[..., tuple[dict[str, Any], Once]]:
    """What `serve` calls: makes a model of some shape and its rounds, of writing or of training."""

    def make(
        shape: dict[str, Any], dtype: str, threads: int, train: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], Once]:
        torch.set_num_threads(threads)
        model = built(shape, dtype)
        about = {"parameters": sum(one.numel() for one in model.parameters())}
        return about, training(model, **train) if train else writing(model.eval())

    return make
