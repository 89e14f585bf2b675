"""Floats of 8 and 4 bits against the reference's decoders, and all experts in one tensor."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from transformers.integrations import finegrained_fp8, mxfp4

from blocks import Keys, Stack
from blocks.hub.quantised.fp4 import Mxfp4, from_mxfp4
from blocks.hub.quantised.fp8 import ScaledInverse
from blocks.hub.quantised.storage import Storage, StoredKeys
from tests.hub.quantised.made import FOURS
from tests.hub.quantised.test_formats import entries, matched, read

UP, GATE = "layers.{i}.experts.{e}.up.weight", "layers.{i}.experts.{e}.gate.weight"


def bits(x: torch.Tensor) -> torch.Tensor:
    return x.contiguous().view({2: torch.int16, 4: torch.int32}[x.itemsize])


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_fp8_as_the_reference(kind: torch.dtype) -> None:
    values, scales = (torch.randn(384, 256) * 40).to(torch.float8_e4m3fn), torch.rand(3, 2) * 0.01
    every = torch.arange(256, dtype=torch.uint8)
    every[every % 128 == 127] = 0  # not a number
    values[0] = every.view(torch.float8_e4m3fn)
    reference: Any = finegrained_fp8.Fp8Dequantize(None)
    theirs = reference._dequantize_one(values, scales, output_dtype=kind)
    form = ScaledInverse((128, 128))
    ours = form.decode((384, 256), {"weight": values, "scale": scales})
    assert ours.dtype == torch.float32
    assert torch.equal(bits(ours.to(kind)), bits(theirs))


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_mxfp4_as_the_reference(kind: torch.dtype) -> None:
    blocks = torch.arange(256, dtype=torch.uint8).repeat(6).view(2, 6, 8, 16)
    scales = torch.randint(90, 160, (2, 6, 8), dtype=torch.uint8)
    theirs = mxfp4.convert_moe_packed_tensors(blocks, scales, dtype=kind)
    ours = from_mxfp4(blocks, scales).to(kind).transpose(1, 2)
    assert torch.equal(bits(ours), bits(theirs))


def test_mxfp4_value_by_value() -> None:
    blocks = torch.randint(256, (2, 3, 4, 16), dtype=torch.uint8)
    scales = torch.randint(255, (2, 3, 4), dtype=torch.uint8)
    scales[0, 0, :3] = torch.tensor([0, 1, 254])
    found = from_mxfp4(blocks, scales)
    assert found.shape == (2, 3, 128) and found.dtype == torch.bfloat16
    for x in range(2):
        for r in range(3):
            for n in range(128):
                byte = int(blocks[x, r, n // 32, n % 32 // 2])
                value = FOURS[byte // 16 if n % 2 else byte % 16]
                wanted = math.ldexp(value, int(scales[x, r, n // 32]) - 127)
                wanted = wanted if abs(wanted) < 2**128 else math.copysign(math.inf, value)
                assert float(found[x, r, n]) == wanted


@pytest.mark.parametrize("transposed", [False, True])
def test_experts_in_mxfp4_are_taken_apart(transposed: bool) -> None:
    """Two experts of 3 × 40 rows by turns; the last group of inputs has 8 values of 32."""
    plain = Keys(Stack("h.{i}.gate_up", (GATE, UP), interleaved=True, transposed=transposed))
    blocks = torch.randint(256, (2, 6, 2, 16), dtype=torch.uint8)
    scales = torch.randint(120, 130, (2, 6, 2), dtype=torch.uint8)
    tensors = {"h.0.gate_up_blocks": blocks, "h.0.gate_up_scales": scales}
    ours = {name.format(i=0, e=e): (3, 40) for e in range(2) for name in (GATE, UP)}
    keys = StoredKeys(plain, Storage.of_all("mxfp4", Mxfp4()))
    found = matched(keys, ours, tensors)
    assert not (found.missing or found.extra or found.misfits)
    got, whole = read(found, ours, tensors), from_mxfp4(blocks, scales)[..., :40]
    for e in range(2):
        assert torch.equal(got[GATE.format(i=0, e=e)], whole[e, ::2])
        assert torch.equal(got[UP.format(i=0, e=e)], whole[e, 1::2])
    del tensors["h.0.gate_up_scales"]
    assert [m.theirs for m in matched(keys, ours, tensors).missing] == ["h.0.gate_up_scales"]


def test_experts_in_fp8_that_are_turned_are_refused() -> None:
    """No tool says which way round they are."""
    plain = Keys(Stack("h.{i}.up", (UP,), transposed=True))
    tensors = {"h.0.up": torch.ones(1, 4, 4).to(torch.float8_e4m3fn)}
    tensors["h.0.up_scale_inv"] = torch.ones(1, 1, 1)
    keys = StoredKeys(plain, Storage.of_all("fp8", ScaledInverse((4, 4))))
    found = matched(keys, {UP.format(i=0, e=0): (4, 4)}, tensors)
    assert "h.0.up holds F8_E4M3, not floats" in str(found.misfits[0]) and found.extra


def test_experts_in_fp8_are_taken_apart() -> None:
    plain = Keys(Stack("h.{i}.gate_up", (GATE, UP)))
    values = (torch.randn(2, 6, 40) * 40).to(torch.float8_e4m3fn)
    scales = torch.rand(2, 2, 3)
    tensors = {"h.0.gate_up": values, "h.0.gate_up_scale_inv": scales}
    ours = {name.format(i=0, e=e): (3, 40) for e in range(2) for name in (GATE, UP)}
    keys = StoredKeys(plain, Storage.of_all("fp8", ScaledInverse((4, 16))))
    found = matched(keys, ours, tensors)
    assert not (found.missing or found.extra or found.misfits), entries(tensors)
    got = read(found, ours, tensors)
    each = scales.repeat_interleave(4, 1)[:, :6].repeat_interleave(16, 2)[..., :40]
    whole = values.float() * each
    for e in range(2):
        assert torch.equal(got[GATE.format(i=0, e=e)], whole[e, :3])
        assert torch.equal(got[UP.format(i=0, e=e)], whole[e, 3:])
