"""Matrices that a small one is added to; wherever it is kept, W stays at its own address."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blocks.attention.gate import OutputGate
from blocks.embedding.token import TokenEmbedding
from blocks.heads.language import LMHead
from blocks.ops.crossentropy import linear_cross_entropy
from blocks.wiring.packed import PackedLinear

__all__: list[str] = []


class Small(nn.Linear):
    """A or B of an adapter, which stays as it is where matrices are packed."""


class Added(nn.Module):
    """y = (W + scale · B A) x + b, or each row of that sum brought to a length of its own.

    Args:
        base: what multiplies by W.
        a, b: what multiplies by A and by B.
        scale: of B A.
        dropout: rate at which channels are dropped before A, in training.
        by_hand: whether the parent reads W instead of calling this.
    """

    transparent = "base"
    source = True

    def __init__(
        self,
        base: nn.Module,
        a: nn.Linear,
        b: nn.Linear,
        scale: float,
        dropout: float = 0.0,
        by_hand: bool = False,
    ):
        super().__init__()
        self.base: Any = base
        self.a, self.b, self.factor, self.rate = a, b, scale, dropout
        self.by_hand = ("base",) if by_hand else ()
        self.magnitude: Any = None  # [O], where rows have lengths of their own

    def forward(self, x: Tensor) -> Tensor:
        return self.mixed(self.base(x), x)

    def mixed(self, y: Tensor, x: Tensor) -> Tensor:
        """W x + b with what is added."""
        small = torch.dropout(x, self.rate, self.training).to(self.a.weight.dtype)
        added = self.b(self.a(small))
        added = added if self.factor == 1.0 else added * self.factor
        if self.magnitude is None:
            return (y + added).to(y.dtype)
        b = self.bias
        y = y + added if b is None else y - b + added
        y = y * (self.magnitude / self.lengths()).to(y.dtype)
        return y if b is None else y + b

    def lengths(self) -> Tensor:
        """[O], of the rows of W + scale · B A; the paper's gradient takes them as given."""
        return self.summed().norm(dim=1).detach()

    def summed(self) -> Tensor:
        """W + scale · B A, [O D]."""
        more = self.b.weight @ self.a.weight
        return dense(self.base) + (more if self.factor == 1.0 else more * self.factor)

    @property
    def weight(self) -> Tensor:
        """The matrix that this multiplies by, [O D]."""
        w = self.summed()
        if self.magnitude is not None:
            w = w * (self.magnitude / self.lengths())[:, None]
        return w.to(dense(self.base).dtype)

    @property
    def bias(self) -> Tensor | None:
        return held(self.base).bias

    def lengthen(self) -> None:
        """Gives each row a length of its own, which starts as that of W's."""
        w = dense(self.base)
        self.magnitude = nn.Parameter(torch.empty(w.shape[0], dtype=w.dtype, device=w.device))
        with torch.no_grad():
            self.magnitude.copy_(w.norm(dim=1))


class AddedHead(Added):
    """The same of a head's matrix, before its scale and cap."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.base.narrowed(x)
        return self.base.finished(self.mixed(self.base.product(x), x))

    def loss(self, x: Tensor, targets: Tensor) -> Tensor:
        """As of the head."""
        base = self.base
        how = {"bias": self.bias, "scale": base.scale, "cap": base.cap}
        return linear_cross_entropy(base.narrowed(x), self.weight, targets, **how)


class AddedRows(Added):
    """x_t = W[t] + scale · B[t] A, of a table of tokens."""

    def forward(self, x: Tensor) -> Tensor:
        rows = self.base.rows(x)
        added = F.embedding(x, self.b.weight) @ self.a.weight * self.factor
        rows = (rows + added).to(rows.dtype)
        return self.base.widened(rows)


class AddedGate(Added):
    """The same of the matrix of a gate of what heads find."""

    def forward(self, y: Tensor, x: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]  # as the gate
        return self.base.gated(y, self.mixed(self.base.product(x), x))


KINDS: dict[type[Any], type[Added]] = {
    LMHead: AddedHead,
    OutputGate: AddedGate,
    TokenEmbedding: AddedRows,
}


def held(base: Any) -> Any:
    """What has the weight and the bias: of a packed head, its matrix."""
    return getattr(base, "matrix", base)


def dense(base: Any) -> Tensor:
    """W of what multiplies by it, [O D], also where it is packed."""
    matrix = held(base)
    return matrix.dense(torch.float32) if type(matrix) is PackedLinear else matrix.weight
