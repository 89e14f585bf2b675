"""What the battery finds of compilers and second derivatives, in a block with one fault each."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from blocks.testing import check_block
from tests.core.test_check_block import Base


class Breaks(Base):
    def forward(self, x: Tensor) -> Tensor:
        torch._dynamo.graph_break()
        return super().forward(x)


class OtherNumbers(Base):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x * 1.0001 if torch.compiler.is_compiling() else x)


class OtherGradient(Base):
    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        return y / 2 + (y / 2).detach() if torch.compiler.is_compiling() else y


class OtherTraining(Base):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(-x if self.training and torch.compiler.is_compiling() else x)


class OtherExport(Base):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(-x if torch.compiler.is_exporting() else x)


class NoExport(Base):
    def forward(self, x: Tensor) -> Tensor:
        if torch.compiler.is_exporting():
            raise ValueError("not for sale")
        return super().forward(x)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (Breaks, "compiled: Unsupported: .*graph_break"),
        (OtherNumbers, "compiled and eager in evaluation, output 0: differs by up to"),
        (OtherGradient, "compiled and eager in training, gradient of input 0"),
        (OtherTraining, "compiled and eager in training, output 0"),
        (OtherExport, "exported and eager"),
        (NoExport, "exported: ValueError: not for sale"),
    ],
)
def test_a_compiler_that_changes_something(kind: Any, words: str) -> None:
    with pytest.raises(AssertionError, match=f"(?s)^{kind.__name__}: {words}"):
        check_block(kind())
    check_block(kind(), compile=False)


def test_what_a_compiler_may_do() -> None:
    check_block(Base(), second=True)
    check_block(Breaks(), fullgraph=False)
    check_block(OtherNumbers(), within=1e-3)


class Sine(torch.autograd.Function):
    """Whose gradient has none, and doesn't say so."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.sin()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return grads[0] * ctx.saved_tensors[0].detach().cos()


class Once(Base):
    def forward(self, x: Tensor) -> Tensor:
        return Sine.apply(super().forward(x))  # pyright: ignore[reportReturnType]


def test_a_second_derivative_that_is_lost() -> None:
    check_block(Once(), compile=False)
    with pytest.raises(AssertionError, match="Once: gradients differ from finite differences"):
        check_block(Once(), second=True, compile=False)
