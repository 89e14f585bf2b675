"""Building a model of shapes alone, for which torch needs not import its compiler."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

__all__: list[str] = []

_DRAWN = frozenset("normal_ uniform_ kaiming_uniform_ xavier_uniform_ trunc_normal_".split())


class _Undrawn(TorchFunctionMode):
    """Draws nothing: on the meta device there are no numbers, and torch takes seconds for none.

    Args:
        anywhere: on other devices neither.
    """

    def __init__(self, anywhere: bool = False):
        super().__init__()
        self.anywhere = anywhere

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__name__", None) in _DRAWN:
            tensor = args[0] if args else kwargs["tensor"]
            if tensor.is_meta or self.anywhere:
                return tensor
        return func(*args, **kwargs)


@contextmanager
def on_meta() -> Iterator[None]:
    """What is built inside it has shapes and no numbers."""
    with torch.device("meta"), _Undrawn():
        yield


@contextmanager
def undrawn() -> Iterator[None]:
    """What is built inside it has memory, and whatever numbers lie there."""
    with _Undrawn(anywhere=True):
        yield
