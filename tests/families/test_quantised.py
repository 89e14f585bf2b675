"""Files of quantised weights load as the floats they stand for, and say so when they can't."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

import blocks
from blocks import CheckpointError
from tests.families import ageing
from tests.families.reference import Loaded

Tensors = dict[str, Tensor]
FP8 = {
    "activation_scheme": "dynamic",
    "fmt": "e4m3",
    "quant_method": "fp8",
    "weight_block_size": [128, 128],
}
MATRIX = re.compile(
    r"model\.layers\.\d+\.(self_attn|mlp|block_sparse_moe)\..*(_proj|_mqa|\.w[123])\.weight"
)
EXPERTS = re.compile(r"(model\.layers\.\d+\.mlp\.experts\.\w+_proj)$")
FOURS = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6])


def stored(config: dict[str, Any]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """A config as the publisher of a quantised file writes it."""
    return lambda data: ageing.old_config(data) | {"quantization_config": config}


def halves(tensors: Tensors) -> Tensors:
    """All in bfloat16 but what every file has in float32."""
    return {n: t if n.endswith("correction_bias") else t.bfloat16() for n, t in tensors.items()}


def eights(tensors: Tensors) -> Tensors:
    """Matrices as fp8 with one scale for the block that each of them is."""
    found = halves(tensors)
    for name in list(filter(MATRIX.fullmatch, found)):
        scale = tensors[name].abs().amax() / 448
        found[name] = (tensors[name] / scale).to(torch.float8_e4m3fn)
        found[f"{name}_scale_inv"] = scale.view(1, 1)
    return found


def from_eights(tensors: Tensors) -> Tensors:
    """What they stand for."""
    found = {n: t for n, t in eights(tensors).items() if not n.endswith("scale_inv")}
    for name in filter(MATRIX.fullmatch, found):
        scale = eights(tensors)[f"{name}_scale_inv"]
        found[name] = (found[name].float() * scale).bfloat16()
    return found


def fours(tensors: Tensors) -> Tensors:
    """Experts as MXFP4, of other values than they had: all bytes and many scales."""
    found = halves(tensors)
    draw = torch.Generator().manual_seed(3)
    for name in list(filter(EXPERTS.fullmatch, found)):
        experts, columns, rows = found.pop(name).shape  # stored the other way round
        shape = (experts, rows, -(-columns // 32))
        ints = {"generator": draw, "dtype": torch.uint8}
        found[f"{name}_blocks"] = torch.randint(256, (*shape, 16), **ints)
        found[f"{name}_scales"] = torch.randint(122, 126, shape, **ints)
    return found


def from_fours(tensors: Tensors) -> Tensors:
    """What they stand for, value by value."""
    found = fours(tensors)
    for name in list(filter(EXPERTS.fullmatch, tensors)):
        packed, scales = found.pop(f"{name}_blocks"), found.pop(f"{name}_scales")
        values = torch.stack([FOURS[(packed % 16).long()], FOURS[(packed // 16).long()]], -1)
        values = values.flatten(-2) * 2.0 ** (scales[..., None].float() - 127)
        columns = tensors[name].shape[1]
        found[name] = values.flatten(-2)[..., :columns].transpose(1, 2).bfloat16().contiguous()
    return found


FORMS = [
    pytest.param("deepseek_v3", FP8, eights, from_eights, "F8_E4M3", id="fp8"),
    pytest.param(
        "minimax_m2", FP8 | {"fmt": "float8_e4m3fn"}, eights, from_eights, "F8_E4M3", id="fp8 w1"
    ),
    pytest.param("mimo_v2_flash", FP8, eights, from_eights, "F8_E4M3", id="fp8 with windows"),
    pytest.param("gpt_oss", {"quant_method": "mxfp4"}, fours, from_fours, "U8", id="mxfp4"),
]
forms = pytest.mark.parametrize(("family", "config", "quantised", "plain", "kind"), FORMS)
Get = Callable[[str, str], Loaded]


@forms
@pytest.mark.parametrize("shards", [0, 3])
def test_the_same_model_as_from_plain_files(
    loaded: Get,
    tmp_path: Path,
    family: str,
    config: Any,
    quantised: Any,
    plain: Any,
    kind: str,
    shards: int,
) -> None:
    it = loaded(family, "plain")
    options = {"config": stored(config), "shards": shards}
    small = ageing.aged(it.folder, tmp_path / "small", tensors=quantised, **options)
    whole = ageing.aged(it.folder, tmp_path / "whole", tensors=plain, config=ageing.old_config)
    ours, wanted = blocks.from_pretrained(small), blocks.from_pretrained(whole)
    assert ours.spec == wanted.spec
    found, expected = blocks.addresses(ours), blocks.addresses(wanted)
    assert list(found) == list(expected)
    for address, tensor in expected.items():
        assert found[address].dtype == tensor.dtype, address
        assert torch.equal(found[address], tensor), address
    assert {p.dtype for p in ours.parameters()} == {torch.bfloat16}
    torch.testing.assert_close(ours(it.tokens), wanted(it.tokens))
    blocks.export(ours, tmp_path / "out")
    assert "quantization_config" not in ageing.read_config(tmp_path / "out")
    again, file = (load_file(at / "model.safetensors") for at in (tmp_path / "out", whole))
    assert set(again) == set(file) and all(torch.equal(again[n], file[n]) for n in file)


@forms
def test_inspection_shows_what_the_file_holds(
    loaded: Get, tmp_path: Path, family: str, config: Any, quantised: Any, plain: Any, kind: str
) -> None:
    it = loaded(family, "plain")
    options = {"tensors": quantised, "config": stored(config)}
    folder = ageing.aged(it.folder, tmp_path / "small", **options)
    report = blocks.inspect(folder)
    assert report.fits and not report.unmapped and report.dtype == "bfloat16"
    assert report.parameters == sum(t.numel() for t in blocks.addresses(it.ours).values())
    assert kind in {row.dtype for row in report.tensors} and kind in str(report)
    ours = blocks.addresses(blocks.from_pretrained(folder)).values()
    assert report.memory()["weights"] == sum(t.nbytes for t in ours)
    assert report.to_json()["fits"]


@forms
def test_values_without_their_scales_are_refused_by_name(
    loaded: Get, tmp_path: Path, family: str, config: Any, quantised: Any, plain: Any, kind: str
) -> None:
    it = loaded(family, "plain")

    def bare(tensors: Tensors) -> Tensors:
        return {n: t for n, t in quantised(tensors).items() if "scale" not in n}

    options = {"tensors": bare, "config": stored(config)}
    folder = ageing.aged(it.folder, tmp_path / "bare", **options)
    with pytest.raises(CheckpointError, match="_scale") as caught:
        blocks.from_pretrained(folder)
    assert "missing: " in str(caught.value) and "_proj" in str(caught.value)
    assert not blocks.inspect(folder).fits


@forms
def test_another_quantisation_is_refused(
    loaded: Get, family: str, config: Any, quantised: Any, plain: Any, kind: str, tmp_path: Path
) -> None:
    it = loaded(family, "plain")
    said = {"quant_method": "awq", "bits": 4, "group_size": 8}
    options: Any = {"tensors": quantised, "config": stored(said)}
    folder = ageing.aged(it.folder, tmp_path / "other", **options)
    with pytest.raises(CheckpointError, match="holds .*, not floats|not used by the model"):
        blocks.from_pretrained(folder)
    assert not blocks.inspect(folder).fits


def test_the_correction_keeps_its_float32(loaded: Get, tmp_path: Path) -> None:
    it = loaded("deepseek_v3", "plain")
    folder = ageing.aged(it.folder, tmp_path / "halves", tensors=halves)
    name = "layers.1.mlp.router.correction"
    wanted = blocks.addresses(it.ours)[name]
    for dtype in (None, torch.bfloat16, torch.float16):
        ours = blocks.from_pretrained(folder, dtype=dtype)
        assert torch.equal(blocks.addresses(ours)[name], wanted)
        assert {p.dtype for p in ours.parameters()} == {dtype or torch.bfloat16}
    blocks.save_pretrained(ours, tmp_path / "mine")
    again = blocks.from_pretrained(tmp_path / "mine")
    assert torch.equal(blocks.addresses(again)[name], wanted)


def next_token_module(at: int, *, marked: bool = True) -> Callable[[Tensors], Tensors]:
    """The layer that predicts one token further, with all it has of its own."""

    def after(tensors: Tensors) -> Tensors:
        last = {n: t for n, t in tensors.items() if n.startswith("model.layers.2.")}
        more = {n.replace("layers.2", f"layers.{at}"): t.clone() for n, t in last.items()}
        own = ["embed_tokens", "enorm", "hnorm", "shared_head.norm", "shared_head.head"]
        own += ["eh_proj"] if marked else []
        more |= {f"model.layers.{at}.{name}.weight": torch.full((2,), torch.nan) for name in own}
        return tensors | more

    return after


@pytest.mark.parametrize("family", ["deepseek_v3", "glm4_moe", "glm4_moe_lite", "hy_v3"])
def test_the_module_for_a_further_token_is_left_alone(
    loaded: Get, tmp_path: Path, family: str
) -> None:
    it = loaded(family, "plain")
    folder = ageing.aged(it.folder, tmp_path / "more", tensors=next_token_module(3))
    ours = blocks.from_pretrained(folder)
    assert it.close(ours(it.tokens), it.logits) <= 1e-5
    report = blocks.inspect(folder)
    assert report.fits and "model.layers.3.eh_proj.weight" in report.ignored
    assert all(name.startswith("model.layers.3.") for name in report.ignored)


@pytest.mark.parametrize(
    ("family", "start"),
    [("exaone_moe", "mtp."), ("mellum", "mtp."), ("mimo_v2_flash", "model.mtp.")],
)
def test_a_module_for_further_tokens_apart_from_the_layers_is_left_alone(
    loaded: Get, tmp_path: Path, family: str, start: str
) -> None:
    it, name = loaded(family, "plain"), f"{start}layers.0.self_attn.q_proj.weight"
    more = {name: torch.full((2,), torch.nan)}
    folder = ageing.aged(it.folder, tmp_path / "more", tensors=lambda all: all | more)
    ours = blocks.from_pretrained(folder)
    assert it.close(ours(it.tokens), it.logits) <= 1e-5
    assert name in ours.provenance.left_out


@pytest.mark.parametrize(
    ("tensors", "depth"),
    [
        (next_token_module(3, marked=False), 3),  # a layer that is one too many
        (dict, 2),  # the file is deeper than its config
        (next_token_module(3), 4),  # the config takes the module for a layer
    ],
)
def test_other_layers_beyond_the_depth_are_errors(
    loaded: Get, tmp_path: Path, tensors: Any, depth: int
) -> None:
    it = loaded("deepseek_v3", "plain")
    options = {"tensors": tensors, "config": lambda data: data | {"num_hidden_layers": depth}}
    folder = ageing.aged(it.folder, tmp_path / "wrong", **options)
    with pytest.raises(CheckpointError, match="model.layers"):
        blocks.from_pretrained(folder)
    assert not blocks.inspect(folder).fits
