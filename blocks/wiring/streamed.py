"""Matrices whose product with a few rows is the library's own kernel; `optimize` puts them in."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from blocks.heads.language import LMHead
from blocks.ops import native

__all__: list[str] = []


def _few(rows: Tensor) -> bool:
    return 0 < len(rows) <= native.FEW.get(rows.dtype, 0)


class Streamed(nn.Linear):
    """An `nn.Linear` that reads its weights once, in order, where there are few rows."""

    def forward(self, input: Tensor) -> Tensor:
        return self.join((self,), input)[0]

    @staticmethod
    def join(parts: Sequence[Streamed], x: Tensor) -> Sequence[Tensor]:
        """What each of them makes of x, by one call of the kernel."""
        weights = [part.weight for part in parts]
        rows = x.reshape(-1, x.shape[-1]).contiguous()
        if not _few(rows) or not native.suits(rows, *weights):
            return [nn.functional.linear(x, part.weight, part.bias) for part in parts]
        found = torch.ops.blocks.products(rows, weights).view(*x.shape[:-1], -1)
        each = found.split([part.out_features for part in parts], -1)
        biases = [part.bias for part in parts]
        return [y if b is None else y + b for y, b in zip(each, biases, strict=True)]


class StreamedHead(LMHead):
    """An `LMHead` whose matrix is read like that of a `Streamed`."""

    def product(self, x: Tensor) -> Tensor:
        rows = x.reshape(-1, x.shape[-1]).contiguous()
        if not _few(rows) or not native.suits(rows, self.weight):
            return super().product(x)
        y = torch.ops.blocks.products(rows, [self.weight]).view(*x.shape[:-1], -1)
        return y if self.bias is None else y + self.bias
