"""Functions that torch compiles."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from types import FunctionType, MethodType
from typing import Any

import torch

__all__: list[str] = []

_numbers = count()


def graph_of(function: Callable[..., Any], **options: Any) -> Any:
    """`torch.compile` of a function or method as if it were written once more.

    torch keeps graphs, of which it makes a few at most, by the code they are of.
    """
    plain: Any = getattr(function, "__func__", function)
    code = plain.__code__.replace(co_name=f"{plain.__name__}_{next(_numbers)}")
    own = FunctionType(code, plain.__globals__, None, plain.__defaults__, plain.__closure__)
    own.__kwdefaults__ = plain.__kwdefaults__
    bound = getattr(function, "__self__", None)
    return torch.compile(own if bound is None else MethodType(own, bound), **options)
