"""Functions that take the same arguments list them once."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def alike(other: Callable[P, Any]) -> Callable[[Callable[..., T]], Callable[P, T]]:
    """A decorator: the function has the arguments of `other`, for people and type checkers."""

    def decorate(function: Callable[..., T]) -> Callable[P, T]:
        returned = signature(function).return_annotation
        shown = signature(other).replace(return_annotation=returned)
        function.__signature__ = shown  # pyright: ignore[reportFunctionMemberAccess]  # PEP 362
        return function

    return decorate
