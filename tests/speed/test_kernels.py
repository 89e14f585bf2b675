"""The kernels in C++ beside the plain products in float64."""

from __future__ import annotations

from typing import Any, Literal

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blocks import PackedLinear
from blocks.ops import native
from blocks.ops.packing import pack, unpack
from blocks.wiring.kinds import quicken
from blocks.wiring.streamed import Streamed

ROUNDING = {torch.float32: 2e-6, torch.bfloat16: 1e-2, torch.float16: 1e-3}

kernels = pytest.mark.skipif(bool(native.obstacle()), reason=f"{native.obstacle()}")
each_dtype = pytest.mark.parametrize("dtype", ROUNDING, ids=str)


def near(found: Tensor, wanted: Tensor, allowed: float) -> bool:
    return float((found.double() - wanted).abs().max()) <= allowed * float(wanted.abs().max())


@kernels
@each_dtype
@pytest.mark.parametrize("rows", [1, 2, 4, 7, 8])
@pytest.mark.parametrize("dim", [1, 31, 64, 100])
def test_products(dtype: torch.dtype, rows: int, dim: int) -> None:
    x = torch.randn(rows, dim, dtype=dtype)
    weights = [torch.randn(out, dim, dtype=dtype) for out in (1, 37, 16)]
    wanted = torch.cat([x.double() @ w.double().T for w in weights], 1)
    found: Any = torch.ops.blocks.products(x, weights)
    assert found.dtype == dtype and near(found, wanted, ROUNDING[dtype])


@kernels
@pytest.mark.parametrize("counts", [[1], [2], [5], [32], [33], [0, 1, 3, 1, 40]], ids=str)
@pytest.mark.parametrize("dim", [32, 96, 512, 544, 1056])
def test_products_by_pairs(dim: int, counts: list[int]) -> None:
    """Sizes that processors which multiply pairs of bfloat16 do so with."""
    x = torch.randn(sum(counts), dim, dtype=torch.bfloat16)
    weights = [torch.randn(out, dim, dtype=torch.bfloat16) for _ in counts for out in (4, 36)]
    parts = x.double().split(counts)
    pairs = zip(parts, weights[::2], weights[1::2], strict=True)
    wanted = torch.cat([torch.cat([a @ w.double().T, a @ u.double().T], 1) for a, w, u in pairs])
    found: Any = torch.ops.blocks.products(x, weights, counts)
    assert near(found, wanted, ROUNDING[torch.bfloat16])


@kernels
@pytest.mark.parametrize("dim", [1, 16])  # number by number, and many at once
def test_every_number_in_half_precision(dim: int) -> None:
    numbers = torch.arange(-(2**15), 2**15, dtype=torch.int16).view(torch.float16)
    weight = torch.zeros(2**16, dim, dtype=torch.float16)
    weight[:, 0] = numbers
    one = torch.eye(dim, dtype=torch.float16)[:1]
    found: Any = torch.ops.blocks.products(one, [weight])
    assert torch.equal(found[0].nan_to_num(nan=7), numbers.nan_to_num(nan=7))
    third = one.div(3)  # the products lie between such numbers
    found = torch.ops.blocks.products(third, [weight])
    rounded = (numbers.float() * third[0, 0].float()).half()
    assert torch.equal(found[0].nan_to_num(nan=7), rounded.nan_to_num(nan=7))


@kernels
@each_dtype
@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("rows", [1, 5])
def test_packed_products_are_whole(dtype: torch.dtype, bits: Literal[8, 4], rows: int) -> None:
    """Where x is made of whole numbers, nothing is rounded but the sum."""
    x = torch.randint(-9, 10, (rows, 70)).to(dtype)
    x[:, ::32] = 127.0  # the scale of each group is one
    parts = [PackedLinear.of(torch.randn(out, 70), None, bits) for out in (16, 3, 40)]
    quicken(nn.ModuleList(parts))
    with torch.no_grad():
        found = PackedLinear.join(parts, x)
    for part, y in zip(parts, found, strict=True):
        dense = unpack(part.packed, part.scale, bits, part.out_dim, part.dim).double()
        assert near(y, x.double() @ dense.T, ROUNDING[dtype])


@kernels
@pytest.mark.parametrize("bits", [8, 4])
def test_rounding_x_to_bytes_costs_little(bits: Literal[8, 4]) -> None:
    block, x = PackedLinear(256, out_dim=64, bits=bits, bias=True), torch.randn(3, 256)
    quicken(block)
    with torch.no_grad():
        y = block(x)
        wanted = x.double() @ block.dense(torch.float64).T + block.bias.double()
    assert 1e-4 < float((y - wanted).std() / wanted.std()) < 0.01


@kernels
@each_dtype
@pytest.mark.parametrize("heads", [(4, 4), (8, 2), (6, 1)])
@pytest.mark.parametrize("dims", [(64, 64), (24, 40)])
def test_look(dtype: torch.dtype, heads: tuple[int, int], dims: tuple[int, int]) -> None:
    h, k = heads
    e, width = dims
    q = torch.randn(3, h, e, dtype=dtype)
    keys, values = (torch.randn(3, k, 600, n, dtype=dtype) for n in (e, width))
    for last in (torch.tensor([0, 300, 599]), torch.tensor([63]), torch.tensor([255])):
        found: Any = torch.ops.blocks.look(q, keys, values, last, 0.3)
        for row in range(3):
            seen = int(last[row if len(last) > 1 else 0]) + 1
            parts = (t[row, :, :seen].double()[None] for t in (keys, values))
            query = q[row].double()[None, :, None]
            wanted = F.scaled_dot_product_attention(query, *parts, scale=0.3, enable_gqa=True)
            assert near(found[row], wanted[0, :, 0], 2 * ROUNDING[dtype])


@kernels
def test_what_is_learnt_takes_the_plain_way() -> None:
    layer = Streamed(8, 5)
    layer(torch.randn(2, 8)).sum().backward()
    assert layer.weight.grad is not None


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("shape", [(1, 1), (16, 32), (37, 100)])
def test_packing_is_near(bits: int, shape: tuple[int, int]) -> None:
    weight = torch.randn(shape)
    off = unpack(*pack(weight, bits), bits, *shape) - weight
    assert float(off.abs().max()) <= float(weight.abs().max()) / (127 if bits == 8 else 7)
    assert float(off.std(correction=0)) <= {8: 0.01, 4: 0.12}[bits]


@pytest.mark.parametrize("bits", [8, 4])
def test_what_can_be_said_is_kept(bits: int) -> None:
    """Whole numbers that reach the end of their range come back as they were."""
    low, high = (-127, 127) if bits == 8 else (-8, 7)
    weight = torch.randint(low, high + 1, (20, 64)).float()
    weight[:, ::32] = low
    assert torch.equal(unpack(*pack(weight, bits), bits, 20, 64), weight)
    assert torch.equal(unpack(*pack(0 * weight, bits), bits, 20, 64), 0 * weight)
