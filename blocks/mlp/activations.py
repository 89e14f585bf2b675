"""Activation functions by the names that configurations use."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from blocks.arguments import check_choice
from blocks.ops import learnt

__all__ = ["Activation", "activation"]

Activation = Literal[
    "gelu",
    "gelu_tanh",
    "identity",
    "quick_gelu",
    "relu",
    "relu2",
    "sigmoid",
    "silu",
    "softplus",
    "tanh",
]


def _gelu_tanh(x: Tensor) -> Tensor:
    return F.gelu(x, approximate="tanh")


def _quick_gelu(x: Tensor) -> Tensor:
    return x * torch.sigmoid(1.702 * x)


def _relu2(x: Tensor) -> Tensor:
    return F.relu(x).square()


def _identity(x: Tensor) -> Tensor:
    return x


_BY_NAME: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu_tanh": _gelu_tanh,
    "identity": _identity,
    "quick_gelu": _quick_gelu,
    "relu": F.relu,
    "relu2": _relu2,
    "sigmoid": torch.sigmoid,
    "silu": F.silu,
    "softplus": F.softplus,
    "tanh": torch.tanh,
}

learnt.GATES[_quick_gelu] = (1.702, 0.0)
learnt.GATES[_gelu_tanh] = (2 * math.sqrt(2 / math.pi), 2 * math.sqrt(2 / math.pi) * 0.044715)


def activation(name: Activation) -> Callable[[Tensor], Tensor]:
    """The function of that name.

    gelu x·Φ(x) and its tanh form (Hendrycks & Gimpel, 2016, arXiv:1606.08415), quick_gelu
    x·σ(1.702x), silu x·σ(x) (Elfwing et al., 2017, arXiv:1702.03118), relu2 max(x, 0)² (So et al.,
    "Primer", 2021, arXiv:2109.08668).

    Errors:
        SpecError: no such activation; the nearest are shown.

    Example:
        >>> import torch
        >>> from blocks import activation
        >>> activation("relu2")(torch.tensor([-1.0, 3.0]))
        tensor([0., 9.])
    """
    check_choice(name, _BY_NAME, "name", "activation")
    return _BY_NAME[name]
