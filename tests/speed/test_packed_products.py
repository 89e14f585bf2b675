"""Products of many rows with packed matrices, beside whole numbers counted by torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blocks import PackedLinear
from blocks.mlp.activations import activation
from blocks.ops import native
from blocks.ops.packing import pack, unpack
from blocks.wiring.kinds import quicken

pytestmark = pytest.mark.skipif(bool(native.obstacle()), reason=f"{native.obstacle()}")
each_bits = pytest.mark.parametrize("bits", [8, 4])

ROUNDING = {torch.float32: 2e-6, torch.bfloat16: 4e-3, torch.float16: 6e-4}
OUTS = (16, 3, 40, 129)


def packed(bits: int, dim: int, outs: Sequence[int]) -> tuple[list[Tensor], list[Tensor]]:
    found = [pack(torch.randn(out, dim), bits) for out in outs]
    return [one[0] for one in found], [one[1] for one in found]


def product(bits: int, x: Tensor, kept: Any, outs: Sequence[int], counts: Any = ()) -> Tensor:
    return getattr(torch.ops.blocks, f"products{bits}")(x, *kept, list(outs), list(counts))


def counted(bits: int, x: Tensor, kept: Any, outs: Sequence[int]) -> Tensor:
    """Groups of 32 numbers rounded to bytes, then sums of whole numbers, in float64."""
    parts = F.pad(x.float(), (0, -x.shape[1] % 32)).unflatten(1, (-1, 32)).double()
    most = parts.abs().amax(-1, keepdim=True).float()
    times = torch.where(most == 0, 0, torch.full_like(most, 127) / most)
    whole = ((parts * times).round() * (most / 127)).flatten(1)
    wide = whole.shape[1]
    dense = [unpack(*one, bits, out, wide).double() for *one, out in zip(*kept, outs, strict=True)]
    return torch.cat([whole @ weight.T for weight in dense], 1)


@each_bits
@pytest.mark.parametrize("dtype", ROUNDING, ids=str)
@pytest.mark.parametrize(
    ("rows", "dim"), [(0, 70), (1, 1), (2, 31), (3, 32), (5, 70), (7, 1024), (33, 100), (512, 70)]
)
def test_beside_whole_numbers(dtype: torch.dtype, bits: int, rows: int, dim: int) -> None:
    x, kept = torch.randn(rows, dim).to(dtype), packed(bits, dim, OUTS)
    x[1::3] *= 1e-3
    x[2::5, :40] = 0
    found, wanted = product(bits, x, kept, OUTS), counted(bits, x, kept, OUTS)
    assert found.dtype == dtype and found.shape == wanted.shape
    sizes = wanted.abs().amax(1, keepdim=True)
    assert bool(((found.double() - wanted).abs() <= ROUNDING[dtype] * sizes).all())


@each_bits
def test_a_row_does_not_depend_on_the_others(bits: int) -> None:
    x, kept = torch.randn(300, 4096).bfloat16(), packed(bits, 4096, OUTS)
    all_at_once = product(bits, x, kept, OUTS)
    for rows in (slice(0, 1), slice(7, 9), slice(11, 16), slice(260, 300)):
        assert torch.equal(product(bits, x[rows].contiguous(), kept, OUTS), all_at_once[rows])


@each_bits
@pytest.mark.parametrize("counts", [(2, 0, 65, 1), (0, 3), (4, 4, 4)])
def test_groups_of_rows(bits: int, counts: tuple[int, ...]) -> None:
    """Each group of rows by two matrices of its own, and by gates and ups."""
    x, outs = torch.randn(sum(counts), 100), (24, 24) * len(counts)
    kept = packed(bits, 100, outs)
    pairs = [tuple(some[i : i + 2] for some in kept) for i in range(0, len(outs), 2)]
    each = zip(x.split(counts), pairs, strict=True)
    alone = torch.cat([product(bits, rows, pair, (24, 24)) for rows, pair in each])
    assert torch.equal(product(bits, x, kept, outs, counts), alone)
    gated = getattr(torch.ops.blocks, f"gated{bits}")(x, *kept, list(outs), 1, list(counts))
    gate, up = alone.chunk(2, 1)
    assert torch.allclose(gated, F.silu(gate) * up, rtol=1e-5, atol=1e-5)


@each_bits
@pytest.mark.parametrize("odd", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("place", [0, 40, 99])
def test_what_is_no_number_stays_none(bits: int, odd: float, place: int) -> None:
    x, kept = torch.randn(9, 100), packed(bits, 100, OUTS)
    x[:, 32:64] = 0  # also among zeros
    wanted = product(bits, x, kept, OUTS)
    x[4, place] = odd
    found = product(bits, x, kept, OUTS)
    assert bool(found[4].isnan().all()) and torch.equal(found[[0, 8]], wanted[[0, 8]])


@each_bits
@pytest.mark.parametrize("size", [0.0, 1e-42, 1e-37, 1e-25, 1e25])
def test_the_very_small_and_the_very_large(bits: int, size: float) -> None:
    x, kept = torch.randn(2, 64), packed(bits, 64, OUTS)
    found = product(bits, size * x, kept, OUTS)
    wanted = size * counted(bits, x, kept, OUTS)
    assert bool(((found - wanted).abs() <= 1e-5 * wanted.abs().max() + 1e-29).all())


@each_bits
@pytest.mark.parametrize("act", ["silu", "gelu", "gelu_tanh", "relu2", "tanh"])
@pytest.mark.parametrize("bias", [False, True])
def test_gate_and_up_in_one_go(bits: Any, act: Any, bias: bool) -> None:
    gate, up = (PackedLinear(100, out_dim=40, bits=bits, bias=bias) for _ in range(2))
    quicken(nn.ModuleList([gate, up]))
    x, run = torch.randn(2, 9, 100), activation(act)
    with torch.no_grad():
        found = PackedLinear.opened(gate, up, x, run)
        assert found.shape == (2, 9, 40)
        assert torch.allclose(found, run(gate(x)) * up(x), rtol=1e-4, atol=1e-5)
