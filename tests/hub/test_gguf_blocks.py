"""Every type of block against ggml's own package, bit by bit, and the table of types."""

from __future__ import annotations

import gguf
import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType

from blocks.hub.gguf.decode import decode
from blocks.hub.gguf.types import KINDS

PLAIN = {"F32", "F16", "BF16", "F64", "I8", "I16", "I32", "I64"}
# The package only knows their sizes: what they hold is told by hand below.
UNTOLD = {"Q8_1", "Q8_K"}
BLOCKS = {number: kind for number, kind in KINDS.items() if kind.name not in PLAIN | UNTOLD}
ROWS = 24


def same(ours: torch.Tensor, theirs: np.ndarray) -> bool:
    """Equal to the last bit, a NaN of a scale that is one included."""
    bits = ours.numpy().view(np.uint32) == theirs.view(np.uint32)
    return bool((bits | (np.isnan(ours.numpy()) & np.isnan(theirs))).all())


@pytest.mark.parametrize("number", BLOCKS, ids=lambda number: KINDS[number].name)
def test_blocks_of_any_bytes_are_what_the_package_makes_of_them(number: int) -> None:
    kind = KINDS[number]
    drawn = np.random.default_rng(number).integers(0, 256, (ROWS, 3 * kind.nbytes), dtype=np.uint8)
    with np.errstate(all="ignore"):  # some scales are infinite
        theirs = gguf.quants.dequantize(drawn, GGMLQuantizationType(number))
    ours = decode(torch.from_numpy(drawn).flatten(), kind, (ROWS, 3 * kind.values))
    assert same(ours, theirs)
    narrow = decode(torch.from_numpy(drawn).flatten(), kind, tuple(theirs.shape), torch.bfloat16)
    assert torch.equal(narrow.nan_to_num(), ours.bfloat16().nan_to_num())


@pytest.mark.parametrize(
    "name", ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "TQ1_0", "TQ2_0", "MXFP4"]
)
def test_what_the_package_quantised_comes_back(name: str) -> None:
    typed = GGMLQuantizationType[name]
    values = np.random.default_rng(1).standard_normal((8, 512), dtype=np.float32)
    packed = gguf.quants.quantize(values, typed)
    ours = decode(torch.from_numpy(packed).flatten(), KINDS[typed.value], values.shape)
    assert same(ours, gguf.quants.dequantize(packed, typed))


def test_blocks_are_decoded_in_pieces_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = KINDS[GGMLQuantizationType.Q4_K.value]
    data = torch.randint(0, 256, (40 * kind.nbytes,), dtype=torch.uint8)
    whole = decode(data, kind, (40, 256))
    monkeypatch.setattr("blocks.hub.gguf.decode._AT_ONCE", 3 * kind.values)
    assert torch.equal(decode(data, kind, (40, 256)).nan_to_num(), whole.nan_to_num())


def test_blocks_that_only_pass_between_steps() -> None:
    half = torch.tensor([0.5, 9.0], dtype=torch.float16).view(torch.uint8)
    values = torch.arange(-16, 16, dtype=torch.int8)
    data = torch.cat([half, values.view(torch.uint8)])
    assert torch.equal(decode(data, KINDS[9], (32,)), values * 0.5)
    scale = torch.tensor([0.25]).view(torch.uint8)
    values = torch.arange(-128, 128).to(torch.int8)
    data = torch.cat([scale, values.view(torch.uint8), torch.ones(32, dtype=torch.uint8)])
    assert torch.equal(decode(data, KINDS[15], (256,)), values * 0.25)


@pytest.mark.parametrize("name", sorted(PLAIN))
def test_plain_types_are_views(name: str) -> None:
    number = GGMLQuantizationType[name].value
    kind = KINDS[number]
    data = torch.arange(4 * kind.nbytes, dtype=torch.uint8)
    ours = decode(data, kind, (2, 2))
    assert ours.data_ptr() == data.data_ptr() and ours.element_size() == kind.nbytes
    odd = torch.cat([torch.zeros(1, dtype=torch.uint8), data])[1:]  # where no such number may be
    assert torch.equal(decode(odd, kind, (2, 2)).view(torch.uint8), ours.view(torch.uint8))


def test_sizes_are_the_packages() -> None:
    sizes = gguf.GGML_QUANT_SIZES
    others = {n: k for n, k in KINDS.items() if k.name != "Q8_1"}  # there it has two floats of 32
    for number, kind in others.items():
        typed = GGMLQuantizationType(number)
        assert (typed.name, *sizes[typed]) == kind
