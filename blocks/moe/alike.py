"""Experts that differ in their weights alone, which can be multiplied together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from blocks.mlp.clamped import ClampedGLU
from blocks.mlp.gated import GatedMLP
from blocks.ops import gpu, grouped
from blocks.ops.together import hooked

__all__: list[str] = []


def matrices(experts: Sequence[Any], *kinds: type[Any]) -> list[list[Any]] | None:
    """Their gates, their ups and their downs, each of one shape, all of one of these kinds; None of
    other experts.
    """
    first = experts[0]
    if type(first) not in (GatedMLP, ClampedGLU) or not all(first.alike(e) for e in experts):
        return None
    found = [[e.gate for e in experts], [e.up for e in experts], [e.down for e in experts]]
    kind = type(first.gate)
    if kind not in kinds or any(type(part) is not kind for some in found for part in some):
        return None  # of what has an adapter the very shape would be a product
    same = all(_shape(part) == _shape(some[0]) for some in found for part in some)
    return found if same else None


def suits(experts: nn.ModuleList, x: Tensor, chosen: Tensor) -> bool:
    """Whether a GPU multiplies these tokens by all of the experts' matrices at once."""
    if not gpu.multiplies_groups(x) or any(hooked(expert) for expert in experts):
        return False
    found = matrices(list(experts), nn.Linear)
    return found is not None and grouped.suits(chosen.numel(), x, found)


def mixed(x: Tensor, weights: Tensor, chosen: Tensor, experts: nn.ModuleList) -> Tensor:
    """What `dispatch` gives, of experts that suit."""
    first: Any = experts[0]
    gates, ups, downs = ([getattr(e, part) for e in experts] for part in ("gate", "up", "down"))

    def mix(rows: Tensor, product: grouped.Product) -> Tensor:
        gated = first.gated(product(rows, gates), product(rows, ups))  # N·k F
        return product(first.drop(gated), downs)

    return grouped.dispatch_grouped(x, weights, chosen, len(experts), mix)


def _shape(part: Any) -> tuple[Any, ...]:
    weight = part.weight if isinstance(part, nn.Linear) else part.packed
    return weight.shape, part.bias is None
