"""What torch.compiler.assume_constant_result does, without importing the whole compiler for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

__all__: list[str] = []

Function = TypeVar("Function", bound=Callable[..., object])


def constant(function: Function) -> Function:
    """Marks a function whose result a graph may take for a constant."""
    vars(function)["_dynamo_marked_constant"] = True
    return function
