"""What the battery finds of copies, dtypes and texts, in a block with one fault each."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.core.test_check_block import Base, refused


class Loose(Base):
    """Holds a tensor that torch doesn't know."""

    def __init__(self):
        super().__init__()
        self.table = torch.ones(4)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * self.table.to(x)


class NoCopy(Base):
    def __deepcopy__(self, memo: Any) -> NoCopy:
        raise TypeError("one of a kind")


class Address(Base):
    def extra_repr(self) -> str:
        return f"rule={object()}"


class Stuck(Base):
    def _apply(self, fn: Any, recurse: bool = True) -> Stuck:
        return self

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight.to(x.dtype)).tanh()


class Halves(Base):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).to(torch.float32 if x.dtype == torch.float16 else x.dtype)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (Loose, "table is a plain tensor"),
        (NoCopy, "copied: TypeError: one of a kind"),
        (Address, "prints an address"),
        (Stuck, "weight is torch.float32 after"),
        (Halves, "float16 in, torch.float32 out"),
    ],
)
def test_a_broken_promise_is_named(kind: Any, words: str) -> None:
    refused(kind(), words)
