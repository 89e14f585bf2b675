"""The weights of two live models compared number by number."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from blocks.models.places import addresses

__all__: list[str] = []

_CHUNK = 1 << 22  # numbers that are compared at once


@dataclass(frozen=True)
class Weights:
    """How the weights of two models compare.

    Attributes:
        compared: tensors of the same address and shape in both; shared ones once.
        unequal: how many of them differ in any number.
        largest: the largest difference between two numbers.
        where: the address of the tensor that it is in; None where all are equal.
    """

    compared: int
    unequal: int
    largest: float
    where: str | None

    def __str__(self) -> str:
        if not self.unequal:
            return f"weights: all {self.compared} tensors that both have are equal"
        return (
            f"weights: {self.unequal} of {self.compared} tensors differ, by up to "
            f"{self.largest:.3g} in {self.where}"
        )


def weights_of(one: nn.Module, other: nn.Module) -> Weights | None:
    """Compares what has the same address and shape; None where a model has no numbers."""
    ours, theirs = addresses(one), addresses(other)
    if any(tensor.is_meta for tensor in (*ours.values(), *theirs.values())):
        return None
    seen: set[tuple[int, int]] = set()
    gaps: dict[str, float] = {}
    for address, a in ours.items():
        b = theirs.get(address)
        if b is None or a.shape != b.shape or (id(a), id(b)) in seen:
            continue
        seen.add((id(a), id(b)))
        gaps[address] = 0.0 if a is b else _gap(a.detach(), b.detach())
    unequal = [address for address, gap in gaps.items() if gap]
    where = max(unequal, key=gaps.__getitem__) if unequal else None
    return Weights(len(gaps), len(unequal), gaps[where] if where else 0.0, where)


def _gap(a: Tensor, b: Tensor) -> float:
    """The largest difference; infinite where only one of two is no number."""
    gap = 0.0
    for one, two in zip(a.reshape(-1).split(_CHUNK), b.reshape(-1).split(_CHUNK), strict=True):
        one, two = one.double(), two.to(one.device).double()
        alike = (one == two) | (one.isnan() & two.isnan())
        apart = (one - two).abs().nan_to_num(torch.inf, torch.inf).masked_fill(alike, 0)
        gap = max(gap, float(apart.max())) if apart.numel() else gap
    return gap
