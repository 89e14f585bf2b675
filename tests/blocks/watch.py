"""How large the tensors are that a call makes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode


class _Watch(TorchFunctionMode):
    def __init__(self) -> None:
        super().__init__()
        self.most = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if isinstance(out, Tensor):
            self.most = max(self.most, out.numel())
        return out


def largest(call: Callable[[], Any]) -> int:
    """Elements of the largest tensor that a call makes."""
    with torch.no_grad(), _Watch() as watch:
        call()
    return watch.most
