"""Gradients written in closed form are those that torch finds for the plain formula."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from blocks import RoPE, Step
from blocks.positions import rope

DTYPES = (torch.float64, torch.float32, torch.bfloat16)


def turned(dtype: torch.dtype, **options: Any) -> tuple[Callable[..., Tensor], list[Tensor]]:
    block, step = RoPE(8, 2, 1, theta=100.0, **options), Step(torch.arange(5)[None])
    drawn = [torch.randn(2, 5, h, 8, dtype=dtype) for h in (2, 1)]

    def call(q: Tensor, k: Tensor) -> Tensor:
        return torch.cat(block(q.transpose(1, 2), k.transpose(1, 2), step), 1)

    return call, drawn


CASES = {
    "rope": (turned, {}),
    "half": (turned, {"rotated": 0.5}),
}


def found(make: Any, options: Any, dtype: torch.dtype) -> list[Tensor]:
    torch.manual_seed(0)
    call, given = make(dtype, **options)
    leaves = [t.requires_grad_() for t in given]
    y = call(*leaves)
    return [y.detach(), *torch.autograd.grad(y, leaves, torch.randn_like(y))]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", CASES)
def test_as_the_plain_formula(
    name: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = found(*CASES[name], dtype)
    monkeypatch.setattr(rope, "learns", lambda *_: False)
    theirs = found(*CASES[name], dtype)
    assert torch.equal(ours[0], theirs[0]), "the same to the bit, with and without gradients"
    for one, other in zip(ours[1:], theirs[1:], strict=True):
        error = float((one.double() - other.double()).norm() / other.double().norm())
        assert error < {torch.float64: 1e-14, torch.float32: 1e-6}.get(dtype, 1e-2)


@pytest.mark.parametrize("name", CASES)
def test_differentiated_twice(name: str) -> None:
    make, options = CASES[name]
    call, given = make(torch.float64, **options)
    leaves = [t.requires_grad_() for t in given]
    assert torch.autograd.gradcheck(call, leaves, fast_mode=True)
    assert torch.autograd.gradgradcheck(call, leaves, fast_mode=True)
