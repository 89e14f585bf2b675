"""How a small example of a block is written down."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor


def floats(*shape: int) -> Callable[[], Tensor]:
    return lambda: torch.randn(*shape)


def shares(*shape: int) -> Callable[[], Tensor]:
    return lambda: torch.rand(*shape) * 0.8 + 0.1  # not at the edge, where gradients are checked


def far(*shape: int) -> Callable[[], Tensor]:
    return lambda: 100 * torch.randn(*shape)  # where small weights saturate a sigmoid


def ints(below: int, *shape: int) -> Callable[[], Tensor]:
    return lambda: torch.randint(below, shape)


def places(*shape: int) -> Callable[[], Tensor]:
    return lambda: torch.arange(shape[-1]).expand(shape).contiguous()


@dataclass(frozen=True)
class Small:
    """How one block is made and called.

    Attributes:
        sizes: what stands before the star.
        options: what it can't do without, and what makes the example worth checking.
        inputs: makers of what forward takes, batch first.
        shape: of the output, or one for each; by default those of the inputs.
        checks: further arguments of check_block.
        zero: names that may be zero, or that are given by the parent and not used.
    """

    sizes: tuple[int, ...]
    options: dict[str, Any] = field(default_factory=dict)
    inputs: tuple[Callable[[], Tensor], ...] = (floats(3, 7, 16),)
    shape: Any = None
    checks: dict[str, Any] = field(default_factory=dict)
    zero: tuple[str, ...] = ()

    def x(self) -> tuple[Tensor, ...]:
        return tuple(make() for make in self.inputs)
