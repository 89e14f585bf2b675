"""Packed models come back from their files as they were, and what is wrong in these is told."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import blocks
from blocks import (
    MLP,
    CausalLM,
    Chain,
    CheckpointError,
    ConfigError,
    GatedMLP,
    LMHead,
    PackedLinear,
    Residual,
    RMSNorm,
    Spec,
    SpecError,
)
from blocks.models.packing import count_weights, packed_matrices
from blocks.models.places import addresses
from tests.hub.test_save import close, same
from tests.speed.test_optimize import ATTENTION, TOKENS, model, written

TIED = ("head.weight", "embedding.weight")
MATRIX = ("layers.1.mlp.up.weight", "layers.0.mlp.up.weight")
MODELS: dict[str, dict[str, Any]] = {
    "apart": {},
    "tied head": {"ties": (TIED,)},
    "tied table": {"ties": (TIED[::-1],)},
    "tied layers": {"ties": (("layers.1", "layers.0"),)},
    "tied matrix": {"ties": (MATRIX, TIED)},
    "projected head": {"head": Spec(LMHead, width=96, bias=True, cap=9.0)},
}
PAIR = ("int8", "int4")


def packed(kind: str = "int8", **options: Any) -> Any:
    return blocks.optimize(model(ATTENTION, **options), quantize=kind, compile=False)  # pyright: ignore[reportArgumentType]


def saved(folder: Path, kind: str = "int8", **options: Any) -> Path:
    blocks.save_pretrained(packed(kind, **options), folder)
    return folder


def configure(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "config.json"
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


@pytest.mark.parametrize("kind", PAIR)
@pytest.mark.parametrize("name", MODELS)
def test_a_packed_model_comes_back(name: str, kind: str, tmp_path: Path) -> None:
    first = packed(kind, **MODELS[name])
    blocks.save_pretrained(first, tmp_path)
    second = blocks.from_pretrained(tmp_path, check_finite=True, verify=True)
    same(first, second)  # bit by bit
    assert packed_matrices(second) == packed_matrices(first)
    assert second.provenance.initialised == second.provenance.left_out == ()
    third = blocks.optimize(second, compile=False)
    assert third.prepared == first.prepared
    close(written(third), written(first))


def test_what_is_shared_is_packed_and_saved_once(tmp_path: Path) -> None:
    first = packed(**MODELS["tied matrix"])
    up = [layer.mlp.inner.up for layer in first.layers]
    assert up[0].packed is up[1].packed and up[0].scale is up[1].scale
    alone = [layer.mlp.inner.down for layer in first.layers]
    assert alone[0].packed is not alone[1].packed
    blocks.save_pretrained(first, tmp_path)
    assert "layers.1.mlp.up.packed" not in load_file(tmp_path / "model.safetensors")


def test_files_are_mapped_not_copied(tmp_path: Path) -> None:
    saved(tmp_path)
    loaded = blocks.from_pretrained(tmp_path)
    tensor = loaded.layers[0].mlp.inner.up.packed
    before = bytes(tensor[0, 0].numpy())
    raw = bytearray((tmp_path / "model.safetensors").read_bytes())
    at = raw.index(before)
    raw[at] ^= 255
    with open(tmp_path / "model.safetensors", "r+b") as file:
        file.write(raw)
    assert bytes(tensor[0, 0].numpy()) != before


def test_packing_is_done_once(tmp_path: Path) -> None:
    first = packed("int4")
    for quantize in (None, "int4"):
        again: Any = blocks.optimize(first, quantize=quantize, compile=False)
        assert again.prepared == first.prepared
        assert again.layers[0].mlp.inner.up.packed is first.layers[0].mlp.inner.up.packed
    with pytest.raises(SpecError, match="are in int4 already") as caught:
        blocks.optimize(first, quantize="int8", compile=False)
    assert caught.value.field == "quantize"


def test_a_streamed_model_can_be_packed() -> None:
    streamed = blocks.optimize(model(ATTENTION), compile=False)
    twice = blocks.optimize(streamed, quantize="int8", compile=False)
    assert len(packed_matrices(twice)) == 2 * 5 + 1


def test_a_copy_is_packed_as_well() -> None:
    first = packed()
    second = copy.deepcopy(first)
    assert packed_matrices(second) == packed_matrices(first)
    assert torch.equal(written(second), written(first))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_a_dtype_leaves_packed_weights_alone(dtype: torch.dtype, tmp_path: Path) -> None:
    plain = addresses(blocks.from_pretrained(saved(tmp_path)))
    for place, tensor in addresses(blocks.from_pretrained(tmp_path, dtype=dtype)).items():
        if place.endswith((".packed", ".scale")):
            assert torch.equal(tensor, plain[place]), place
        else:
            assert tensor.dtype == dtype and plain[place].dtype == torch.float32, place


def test_a_packed_block_of_a_spec_comes_back(tmp_path: Path) -> None:
    steps = {"packed": Spec(Residual, inner=Spec(PackedLinear, bits=4, bias=True), norm_in=RMSNorm)}
    spec = Spec(CausalLM, vocab=50, dim=32, layers=(Spec(Chain, steps=steps),), norm=RMSNorm)
    blocks.save_pretrained(spec(), tmp_path)
    found = blocks.from_pretrained(tmp_path).layers[0].packed.inner
    assert (found.bits, found.dim, found.out_dim) == (4, 32, 32)


def test_a_rewrite_keeps_what_still_fits(tmp_path: Path) -> None:
    saved(tmp_path)
    other = Spec(MLP, hidden=200)

    def rewrite(spec: Any) -> Any:
        return blocks.rewrite(spec, "layers.1.mlp", other)

    loaded = blocks.from_pretrained(tmp_path, rewrite=rewrite)
    assert type(loaded.layers[0].mlp.inner.up) is PackedLinear
    assert type(loaded.layers[1].mlp.inner.up) is torch.nn.Linear
    assert "layers.1.mlp.up.weight" in loaded.provenance.initialised
    assert "layers.1.mlp.up.packed" in loaded.provenance.left_out
    assert loaded(TOKENS).isfinite().all()


def line(data: dict[str, Any], **fields: Any) -> None:
    data["packed"]["matrices"][0] |= fields


CONFIGS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "no object": (lambda d: d.update(packed=[8]), "packed"),
    "no layout": (lambda d: d["packed"].pop("tile"), "packed"),
    "another layout": (lambda d: d["packed"].update(group=64), "packed.group"),
    "a layout that is no number": (lambda d: d["packed"].update(tile=16.0), "packed.tile"),
    "no list": (lambda d: d["packed"].update(matrices={}), "packed.matrices"),
    "no matrix": (lambda d: d["packed"]["matrices"].append(8), "packed.matrices.6"),
    "more": (lambda d: line(d, sign=True), "packed.matrices.0"),
    "unknown bits": (lambda d: line(d, bits=5), "packed.matrices.0.bits"),
    "bits that are none": (lambda d: line(d, bits=True), "packed.matrices.0.bits"),
    "one size": (lambda d: line(d, shape=[64]), "packed.matrices.0.shape"),
    "no size": (lambda d: line(d, shape=[64, 0]), "packed.matrices.0.shape"),
    "no address": (lambda d: line(d, at="head"), "packed.matrices.0.at"),
    "twice": (lambda d: line(d, at=["head", "head"]), "packed.matrices.0.at"),
    "far too many": (lambda d: line(d, at=["a.0-99999999.b.0-9999"]), "packed.matrices.0.at"),
    "backwards": (lambda d: line(d, at=["layers.1-0.mlp.up"]), "packed.matrices.0.at"),
    "not in the model": (lambda d: line(d, at=["layers.7-9.mlp.up"]), "packed.matrices"),
    "no matrix there": (lambda d: line(d, at=["norm"]), "packed.matrices"),
    "another shape": (lambda d: line(d, shape=[49, 64]), "packed.matrices"),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_a_wrong_config_is_refused(name: str, tmp_path: Path) -> None:
    change, field = CONFIGS[name]
    configure(saved(tmp_path), change)
    for look in (blocks.from_pretrained, blocks.inspect, blocks.explain):
        with pytest.raises(ConfigError) as caught:
            look(tmp_path)
        assert str(caught.value.file) == str(tmp_path / "config.json")
        assert caught.value.field == field


def test_other_bits_than_the_file_has_are_refused(tmp_path: Path) -> None:
    configure(saved(tmp_path), lambda data: line(data, bits=4))
    with pytest.raises(CheckpointError, match=r"packed is \[4, 2, 512\], not \[4, 2, 256\]"):
        blocks.from_pretrained(tmp_path)
    assert not blocks.inspect(tmp_path).fits


def gone(tensors: dict[str, Tensor], place: str) -> None:
    del tensors[place]


def floats(tensors: dict[str, Tensor], place: str) -> None:
    tensors[place] = tensors[place].float()


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("place", ["layers.0.mlp.up.packed", "layers.0.mlp.up.scale"])
@pytest.mark.parametrize("change", [gone, floats])
def test_packed_weights_are_never_made_up(
    change: Callable[[dict[str, Tensor], str], None], place: str, strict: bool, tmp_path: Path
) -> None:
    path = saved(tmp_path) / "model.safetensors"
    tensors = load_file(path)
    change(tensors, place)
    save_file(tensors, path)
    with pytest.raises(CheckpointError, match=place) as caught:
        blocks.from_pretrained(tmp_path, strict=strict)
    assert caught.value.tensor == place


def test_scales_are_checked_where_that_is_asked_for(tmp_path: Path) -> None:
    path = saved(tmp_path) / "model.safetensors"
    tensors = load_file(path)
    tensors["layers.0.mlp.up.scale"].view(torch.half)[0, 0, 0] = torch.nan
    save_file(tensors, path)
    with pytest.raises(CheckpointError, match="NaN") as caught:
        blocks.from_pretrained(tmp_path, check_finite=True)
    assert caught.value.tensor == "layers.0.mlp.up.scale"


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf, 1e9])
@pytest.mark.parametrize("kind", PAIR)
def test_what_cannot_be_packed_is_told(kind: Any, value: float) -> None:
    broken: Any = model(ATTENTION)
    with torch.no_grad():
        broken.layers[1].mlp.inner.up.weight[3, 4] = value
    with pytest.raises(SpecError, match="NaN, infinity or") as caught:
        blocks.optimize(broken, quantize=kind, compile=False)
    assert caught.value.field == "layers.1.mlp.up"


def test_no_other_layout_can_say_it(tmp_path: Path) -> None:
    loaded = blocks.from_pretrained(blocks.packaged())
    quick = blocks.optimize(loaded, quantize="int8", compile=False)
    with pytest.raises(CheckpointError, match="29 of its matrices are packed") as caught:
        blocks.export(quick, tmp_path)
    assert caught.value.hint and "export the model" in caught.value.hint


@pytest.mark.parametrize("kind", PAIR)
def test_a_packed_folder_is_told(kind: str, tmp_path: Path) -> None:
    first = packed(kind, **MODELS["projected head"])
    blocks.save_pretrained(first, tmp_path)
    report = blocks.inspect(tmp_path)
    assert report.fits and sum(report.packed.values()) == len(packed_matrices(first))
    held = sum(t.numel() * t.element_size() for t in addresses(first).values())
    assert report.nbytes == report.memory()["weights"] == held
    plain = model(ATTENTION, **MODELS["projected head"])
    values = sum(p.numel() for p in plain.parameters())
    assert report.parameters == count_weights(first) == values
    for found in (blocks.explain(tmp_path), blocks.explain(first)):
        assert (found.parameters, found.nbytes) == (values, held)
    rows = {row.name: row for row in report.tensors}
    up = rows["layers.0.mlp.up.packed"]
    assert (up.dtype, up.block, up.parameters) == ("U8", "PackedLinear", 96 * 64)
    assert f"matrices in {kind} × " in str(report)


GATED = blocks.optimize(GatedMLP(64, hidden=96), quantize="int8", compile=False)


def test_parts_of_a_model_can_be_packed_too() -> None:
    assert {*packed_matrices(GATED)} == {"gate", "up", "down"}
