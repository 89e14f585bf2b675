"""Quantised weights become, to the last bit, the floats that they stand for."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from transformers.integrations import finegrained_fp8, mxfp4

from blocks import ConfigError, Keys
from blocks.hub.config import Config
from blocks.hub.dequantise import BlockFp8, Mxfp4, fp8, from_fp8, from_mxfp4, read_fp8, read_mxfp4
from blocks.hub.headers import Entry
from blocks.hub.match import match

FOURS = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, -0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0, -6.0]
UP = "layers.0.mlp.up.weight"
KEYS = Keys(
    ("h.{i}.up.weight", "layers.{i}.mlp.up.weight"),
    *fp8([("h.{i}.up.{w}", UP.replace("0", "{i}"))]),
)


def bits(x: torch.Tensor) -> torch.Tensor:
    return x.contiguous().view({2: torch.int16, 4: torch.int32}[x.itemsize])


def eights(*shape: int) -> torch.Tensor:
    return (torch.randn(shape) * 40).to(torch.float8_e4m3fn)


@pytest.mark.parametrize("shape", [(1, 1), (128, 128), (129, 127), (300, 260), (576, 64)])
def test_fp8_value_by_value(shape: tuple[int, int]) -> None:
    values = eights(*shape)
    scales = torch.rand(-(-shape[0] // 128), -(-shape[1] // 128)) * 0.01
    found = from_fp8(values, scales)
    wide = values.float()
    for r in {0, 127, 128, shape[0] - 1} & set(range(shape[0])):
        for k in {0, 127, 128, shape[1] - 1} & set(range(shape[1])):
            assert found[r, k] == wide[r, k] * scales[r // 128, k // 128]
    assert found.dtype == torch.float32


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_fp8_as_the_reference(kind: torch.dtype) -> None:
    values, scales = eights(384, 256), torch.rand(3, 2) * 0.01
    every = torch.arange(256, dtype=torch.uint8)
    every[every % 128 == 127] = 0  # not a number
    values[0] = every.view(torch.float8_e4m3fn)
    reference: Any = finegrained_fp8.Fp8Dequantize(None)
    theirs = reference._dequantize_one(values, scales, output_dtype=kind)
    assert torch.equal(bits(from_fp8(values, scales).to(kind)), bits(theirs))


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


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_mxfp4_as_the_reference(kind: torch.dtype) -> None:
    blocks = torch.arange(256, dtype=torch.uint8).repeat(6).view(2, 6, 8, 16)
    scales = torch.randint(90, 160, (2, 6, 8), dtype=torch.uint8)
    theirs = mxfp4.convert_moe_packed_tensors(blocks, scales, dtype=kind)
    ours = from_mxfp4(blocks, scales).to(kind).transpose(1, 2)
    assert torch.equal(bits(ours), bits(theirs))


def test_mxfp4_experts_are_taken_apart() -> None:
    names = tuple(f"layers.{{i}}.experts.{{e}}.{part}.weight" for part in ("gate", "up"))
    rule = Mxfp4("h.{i}.gate_up_blocks", names, interleaved=True)
    ours = [(3, 40)] * 4  # two experts; the last group has 8 values of 32
    assert rule.forms(ours) == (((2, 6, 2, 16), ("U8",)), ((2, 6, 2), ("U8",)))
    assert rule.beside("h.0.gate_up_blocks") == ("h.0.gate_up_scales",)
    blocks = torch.randint(256, (2, 6, 2, 16), dtype=torch.uint8)
    scales = torch.randint(120, 130, (2, 6, 2), dtype=torch.uint8)
    whole = rule.whole([blocks, scales])
    gate, up, _, second = rule.load(whole, ours)
    assert torch.equal(gate, whole[0, ::2, :40]) and torch.equal(up, whole[0, 1::2, :40])
    assert torch.equal(second, whole[1, 1::2, :40])


def entry(dtype: str, *shape: int) -> Entry:
    return Entry(dtype, shape, 0, 0, None)


WEIGHT, SCALE = "h.0.up.weight", "h.0.up.weight_scale_inv"


EIGHT, FLOAT = entry("F8_E4M3", 200, 100), entry("BF16", 200, 100)
SCALES = entry("F32", 2, 1)


@pytest.mark.parametrize(
    ("weight", "scale", "said"),
    [
        (FLOAT, "absent", None),
        (EIGHT, SCALES, None),
        (None, None, None),  # an index alone tells no more than names
        (EIGHT, "absent", f"{WEIGHT} holds F8_E4M3, not floats and has no scales beside it"),
        (FLOAT, SCALES, f"{WEIGHT} holds BF16, not F8_E4M3"),
        (EIGHT, entry("F32", 1, 1), f"{SCALE} is [1, 1], not [2, 1]"),
        (EIGHT, entry("U8", 2, 1), f"{SCALE} holds U8, not floats"),
        (entry("F8_E4M3", 200, 99), SCALES, f"{WEIGHT} is [200, 99], not [200, 100]"),
    ],
)
def test_fp8_and_its_scales_are_matched(weight: Any, scale: Any, said: str | None) -> None:
    entries = {WEIGHT: weight} | ({} if scale == "absent" else {SCALE: scale})
    found = match(KEYS, {UP: (200, 100)}, entries)
    assert not found.missing and not found.extra
    assert [str(misfit) for misfit in found.misfits] == ([] if said is None else [said])


def test_mxfp4_without_scales_is_missing_them() -> None:
    keys = Keys(("h.{i}.up", "x.{i}.{e}.up"), Mxfp4("h.{i}.up_blocks", ("x.{i}.{e}.up",)))
    ours = {f"x.0.{e}.up": (4, 32) for e in range(2)}
    blocks = {"h.0.up_blocks": entry("U8", 2, 4, 1, 16)}
    found = match(keys, ours, blocks)
    assert [m.theirs for m in found.missing] == ["h.0.up_scales"] and not found.extra
    both = blocks | {"h.0.up_scales": entry("U8", 2, 4, 1)}
    found = match(keys, ours, both)
    assert [type(m.rule) for m in found.found] == [Mxfp4] and not found.missing and not found.extra


def test_quantised_values_are_never_written() -> None:
    assert [type(m.rule) for m in KEYS.chosen([UP])] != [BlockFp8]
    assert [m.theirs for m in KEYS.chosen([UP])] == [WEIGHT]


@pytest.mark.parametrize("more", [{}, {"activation_scheme": "dynamic", "scale_fmt": "ue8m0"}])
def test_a_config_of_fp8(more: dict[str, Any]) -> None:
    said = {"quant_method": "fp8", "fmt": "e4m3", "weight_block_size": [128, 128], **more}
    c = Config({"quantization_config": said})
    read_fp8(c)
    c.finish()


@pytest.mark.parametrize(
    ("read", "said"),
    [
        (read_fp8, {}),
        (read_fp8, {"quant_method": "awq"}),
        (read_fp8, {"quant_method": "fp8", "weight_block_size": [64, 64]}),
        (read_fp8, {"quant_method": "fp8", "fmt": "e5m2"}),
        (read_fp8, {"quant_method": "fp8", "bits": 4}),
        (read_mxfp4, {"quant_method": "fp8"}),
        (read_mxfp4, {"quant_method": "mxfp4", "group": 16}),
    ],
)
def test_another_quantisation_is_refused_by_name(read: Any, said: dict[str, Any]) -> None:
    c = Config({"quantization_config": said})
    with pytest.raises(ConfigError, match="quantization_config"):
        read(c)
        c.finish()


def test_a_config_that_nobody_reads_is_refused() -> None:
    with pytest.raises(ConfigError, match="quantised"):
        Config({"quantization_config": {"quant_method": "fp8"}}).finish()
