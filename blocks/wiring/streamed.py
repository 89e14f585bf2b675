"""Matrices whose products are the library's own kernels; `optimize` puts them in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blocks.heads.language import LMHead
from blocks.mlp.activations import activation
from blocks.ops import native

__all__: list[str] = []

_ACTS: tuple[Any, ...] = (
    *("identity", "silu", "gelu", "gelu_tanh", "quick_gelu"),
    *("relu", "relu2", "sigmoid", "tanh"),
)
ACTS = {activation(name): number for number, name in enumerate(_ACTS)}  # as the kernels count them


class Streamed(nn.Linear):
    """An `nn.Linear` that reads its weights once, in order, where there are few rows.

    Many rows of bfloat16 are multiplied by a kernel as well, which lays both out by pairs.
    """

    def forward(self, input: Tensor) -> Tensor:
        return self.join((self,), input)[0]

    @staticmethod
    def join(parts: Sequence[Streamed], x: Tensor) -> Sequence[Tensor]:
        """What each of them makes of x, by one call of a kernel."""
        found = _products(x, [part.weight for part in parts], [part.bias for part in parts])
        return [F.linear(x, p.weight, p.bias) for p in parts] if found is None else found

    @staticmethod
    def opened(gate: Streamed, up: Streamed, x: Tensor, act: Callable[[Tensor], Tensor]) -> Tensor:
        """act(gate x) ⊙ up x, where rows are many by one call of a kernel."""
        rows = x.reshape(-1, x.shape[-1]).contiguous()
        known = act in ACTS and act is not F.gelu  # whose exact form takes longer than the product
        biases = _told(rows, (gate.bias, up.bias))
        if not known or not _many(rows, gate.weight, up.weight, *biases):
            left, right = Streamed.join((gate, up), x)
            return act(left) * right
        weights = [gate.weight, up.weight]
        y = torch.ops.blocks.gated(rows, weights, biases, ACTS[act])
        return y.view(*x.shape[:-1], -1)


class StreamedHead(LMHead):
    """An `LMHead` whose matrix is read like that of a `Streamed`."""

    def product(self, x: Tensor) -> Tensor:
        found = _products(x, [self.weight], [self.bias])
        return super().product(x) if found is None else found[0]


def _products(
    x: Tensor, weights: list[Tensor], biases: list[Tensor | None]
) -> Sequence[Tensor] | None:
    """x [... D] by each matrix [O D]; None where torch's own product is the quicker one."""
    rows = x.reshape(-1, x.shape[-1]).contiguous()
    outs = [len(weight) for weight in weights]
    if 0 < len(rows) <= native.FEW.get(rows.dtype, 0) and native.suits(rows, *weights):
        found = torch.ops.blocks.products(rows, weights).view(*x.shape[:-1], -1).split(outs, -1)
        return [y if b is None else y + b for y, b in zip(found, biases, strict=True)]
    told = _told(rows, biases)
    if not _many(rows, *weights, *told):
        return None
    return torch.ops.blocks.dense(rows, weights, told).view(*x.shape[:-1], -1).split(outs, -1)


def _many(rows: Tensor, *given: Tensor) -> bool:
    """Whether the kernel that lays out by pairs may read these, and is quicker."""
    bf16 = rows.dtype == torch.bfloat16 and rows.shape[1] % native.PAIRS == 0
    return bf16 and 0 < native.MANY <= len(rows) and native.suits(rows, *given)


def _told(rows: Tensor, biases: Sequence[Tensor | None]) -> list[Tensor]:
    """Biases as a kernel reads them: none of one that is missing."""
    return [rows.new_empty(0) if bias is None else bias for bias in biases]
