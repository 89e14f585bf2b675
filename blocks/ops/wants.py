"""What a block's forward asks for by name, and the call that gives it just that."""

from __future__ import annotations

import inspect
from functools import cache
from typing import Any

from torch import Tensor, nn

from blocks.step import Step

__all__: list[str] = []


@cache
def _named(kind: type) -> frozenset[str]:
    return frozenset(inspect.signature(kind.forward).parameters)


def wants(module: nn.Module) -> frozenset[str]:
    """The names of the arguments that a module's forward takes; read once, when it is built."""
    return _named(type(module))


def call(
    module: nn.Module, x: Tensor, step: Step | None, state: Any, names: frozenset[str]
) -> Tensor:
    """`module(x)`, with the step and the state where `names` holds them."""
    if "state" in names:
        return module(x, step, state)
    return module(x, step) if "step" in names else module(x)
