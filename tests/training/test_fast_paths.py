"""What the kernels in C++ read has the plain gradients where something is to be learnt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from blocks import PackedLinear
from blocks.ops import native
from blocks.ops.attend import attend
from blocks.wiring.streamed import Streamed, StreamedHead

native.obstacle()  # the kernels are loaded where they can be, and must keep out of the way


def streamed() -> tuple[Any, Any, list[Tensor]]:
    layer = Streamed(8, 5)
    given = [torch.randn(3, 8), layer.weight, layer.bias]
    return lambda x, *_: layer(x), F.linear, given


def head() -> tuple[Any, Any, list[Tensor]]:
    layer = StreamedHead(8, 5, bias=True)
    given = [torch.randn(3, 8), layer.weight, layer.bias]
    return lambda x, *_: layer(x), F.linear, given


def packed() -> tuple[Any, Any, list[Tensor]]:
    layer = PackedLinear(40, out_dim=5, bits=4)
    dense = layer.dense(torch.float32)
    return layer, lambda x: F.linear(x, dense), [torch.randn(3, 40)]


def look() -> tuple[Any, Any, list[Tensor]]:
    last = torch.tensor([2, 6])
    seen = torch.arange(7) <= last[:, None, None, None]

    def plain(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(q, k, v, seen, enable_gqa=True)

    given = [torch.randn(2, 4, 1, 8), torch.randn(2, 2, 7, 8), torch.randn(2, 2, 7, 6)]
    return lambda q, k, v: attend(q, k, v, last=last), plain, given


@pytest.mark.parametrize("make", [streamed, head, packed, look])
def test_gradients_are_the_plain_ones(make: Callable[[], tuple[Any, Any, list[Tensor]]]) -> None:
    ours, plain, given = make()
    leaves = [t.requires_grad_() for t in given]
    found, wanted = ours(*leaves), plain(*leaves)
    assert torch.allclose(found, wanted, atol=1e-5)
    pull = torch.randn_like(wanted)
    pairs = (torch.autograd.grad(y, leaves, pull) for y in (found, wanted))
    for one, other in zip(*pairs, strict=True):
        assert torch.allclose(one, other, atol=1e-5)
