"""A checkpoint of any family may store its matrices in any format: the same model comes of it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open

import blocks
from blocks import CheckpointError, ConfigError
from tests.families import ageing
from tests.families.reference import Loaded
from tests.hub.quantised.made import Tensors
from tests.hub.quantised.twins import TWINS, Twin

# Layers as tools store them: none of tokens, none of choice, and no head.
LAYER = re.compile(
    r".*\.(self_attn|attention|mlp|attn|block_sparse_moe|experts)\..*"
    r"(_proj|c_attn|c_proj|c_fc|query_key_value|dense\w*|\.w[123])\.weight"
)
Get = Callable[[str, str], Loaded]
# One of each method goes through every kind of family; the others are decoded alike.
USUAL = {"gptq", "awq", "nf4 double", "int8", "packed", "float-quantized", "modelopt nvfp4"}


def matrices(tensors: Tensors) -> list[str]:
    return [name for name, tensor in tensors.items() if LAYER.fullmatch(name) and tensor.dim() == 2]


def stored(tensors: Tensors, twin: Twin, *, turned: bool = False) -> tuple[Tensors, Tensors]:
    """A checkpoint's tensors with its matrices stored as a twin does, and what they then mean."""
    small, plain = dict(tensors), dict(tensors)
    for seed, name in enumerate(matrices(tensors)):
        rows, columns = tensors[name].shape[::-1] if turned else tensors[name].shape
        made = twin.encoded(seed, rows, columns)
        if made is None:
            continue
        module = name.removesuffix(".weight")
        del small[name]
        small |= {f"{module}{end}": tensor for end, tensor in made[0].items()}
        meant = torch.from_numpy(made[1])
        plain[name] = (meant.t() if turned else meant).contiguous()
    assert small.keys() != plain.keys()
    return small, plain


def folders(it: Loaded, to: Path, twin: Twin, **options: Any) -> tuple[Path, Path]:
    """The same model from quantised matrices, and from what they mean."""
    made: list[Tensors] = []

    def small(tensors: Tensors) -> Tensors:
        made.extend(stored(tensors, twin, **options))
        return made[0]

    config = {"quantization_config": twin.config}
    one = ageing.aged(it.folder, to / "small", tensors=small, config=lambda data: data | config)
    return one, ageing.aged(it.folder, to / "whole", tensors=lambda _: made[1])


def same(it: Loaded, to: Path, name: str, **options: Any) -> None:
    small, whole = folders(it, to, TWINS[name], **options)
    ours = blocks.from_pretrained(small, dtype=torch.float32)
    wanted = blocks.from_pretrained(whole)
    assert ours.spec == wanted.spec
    found, expected = blocks.addresses(ours), blocks.addresses(wanted)
    assert list(found) == list(expected)
    for address, tensor in expected.items():
        assert torch.equal(found[address], tensor), address
    assert torch.equal(ours(it.tokens), wanted(it.tokens))
    assert TWINS[name].says in ours.provenance.changes[0]


@pytest.mark.parametrize("name", TWINS)
def test_of_llama(loaded: Get, tmp_path: Path, name: str) -> None:
    same(loaded("llama", "plain"), tmp_path, name)


@pytest.mark.parametrize(
    ("family", "name"),
    [
        pytest.param(
            family, name, marks=() if name in USUAL and family == "phi3" else pytest.mark.slow
        )
        for family in ("phi3", "gpt_neox", "qwen3_moe", "mixtral")
        for name in TWINS
    ],
)
def test_of_fused_queries_and_of_experts(
    loaded: Get, tmp_path: Path, family: str, name: str
) -> None:
    same(loaded(family, "plain"), tmp_path, name)


@pytest.mark.parametrize("name", ["gptq", "nf4", "int8"])
def test_of_matrices_that_plain_files_turn(loaded: Get, tmp_path: Path, name: str) -> None:
    same(loaded("gpt2", "plain"), tmp_path, name, turned=True)


@pytest.mark.parametrize("name", ["gptq 3", "awq"])
def test_of_experts(loaded: Get, tmp_path: Path, name: str) -> None:
    same(loaded("qwen3_moe", "plain"), tmp_path, name)


@pytest.fixture
def small(loaded: Get, tmp_path: Path) -> Path:
    return folders(loaded("llama", "plain"), tmp_path, TWINS["gptq"])[0]


def test_what_is_saved_is_plain(small: Path, loaded: Get, tmp_path: Path) -> None:
    it = loaded("llama", "plain")
    ours = blocks.from_pretrained(small, dtype=torch.float32)
    blocks.save_pretrained(ours, tmp_path / "mine")
    blocks.export(ours, tmp_path / "out")
    for folder in (tmp_path / "mine", tmp_path / "out"):
        again = blocks.from_pretrained(folder)
        assert torch.equal(again(it.tokens), ours(it.tokens))
        assert not blocks.inspect(folder).quantised
    assert "quantization_config" not in ageing.read_config(tmp_path / "out")
    with safe_open(tmp_path / "out" / "model.safetensors", framework="pt") as file:
        assert not [name for name in file.keys() if not name.endswith(".weight")]  # noqa: SIM118  (no dict)
    # Our own format remembers where its numbers are from.
    assert "GPTQ" in blocks.from_pretrained(tmp_path / "mine").provenance.changes[0]


def test_it_is_packed_as_any_model(small: Path, loaded: Get) -> None:
    it = loaded("llama", "plain")
    ours = blocks.from_pretrained(small, dtype=torch.float32)
    packed = blocks.optimize(ours, quantize="int8", compile=False)
    assert packed(it.tokens).shape == ours(it.tokens).shape
    assert blocks.models.packing.packed_matrices(packed)


DTYPES: list[Any] = [
    (torch.float16, None, torch.float16),
    (torch.bfloat16, None, torch.bfloat16),
    (torch.float16, torch.float32, torch.float32),
    (torch.float16, torch.bfloat16, torch.bfloat16),
]


@pytest.mark.parametrize(("plain", "asked", "given"), DTYPES)
@pytest.mark.parametrize("name", ["gptq", "packed", "nf4"])
def test_its_dtype(
    loaded: Get, tmp_path: Path, name: str, plain: torch.dtype, asked: Any, given: torch.dtype
) -> None:
    """What the plain tensors beside it have: scales are no weights, whatever theirs is."""
    it = loaded("llama", "plain")

    def halved(tensors: Tensors) -> Tensors:
        return stored({n: t.to(plain) for n, t in tensors.items()}, TWINS[name])[0]

    config = {"quantization_config": TWINS[name].config}
    options: Any = {"tensors": halved, "config": lambda data: data | config}
    folder = ageing.aged(it.folder, tmp_path / "half", **options)
    ours = blocks.from_pretrained(folder, dtype=asked)
    assert {p.dtype for p in ours.parameters()} == {given}
    if asked is None:
        report = blocks.inspect(folder)
        assert report.memory()["weights"] == sum(p.nbytes for p in ours.parameters())
        assert report.dtype == str(given).removeprefix("torch.")


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in USUAL else pytest.mark.slow) for n in TWINS]
)
def test_inspection_counts_what_it_holds(loaded: Get, tmp_path: Path, name: str) -> None:
    it = loaded("llama", "plain")
    folder, whole = folders(it, tmp_path, TWINS[name])
    report = blocks.inspect(folder)
    assert report.fits, report
    assert report.parameters == blocks.inspect(whole).parameters
    file = folder / "model.safetensors"
    with safe_open(file, framework="pt") as handle:
        assert report.nbytes == sum(handle.get_tensor(n).nbytes for n in handle.keys())  # noqa: SIM118  (no dict)
    [(form, (count, bits))] = report.quantised.items()
    assert TWINS[name].says in form and count > 0
    rows = [row for row in report.tensors if row.stored]
    assert bits is not None and len(rows) == count
    assert bits == 8 * sum(row.nbytes or 0 for row in rows) / sum(row.parameters for row in rows)
    assert f"{bits:.2f} bits a weight" in str(report) and form in str(report)
    assert json.loads(json.dumps(report.to_json()))["quantised"] == {form: [count, bits]}


WRONG: list[Any] = [
    ({"bits": 8}, {}, CheckpointError, r"qweight is \[4, 32\], not \[8, 32\].*says GPTQ, 8 bits"),
    ({"group_size": 16}, {}, CheckpointError, r"scales is \[4, 32\], not \[2, 32\].*groups of 16"),
    ({"bits": 5}, {}, ConfigError, r"quantization_config\.bits: 5 is not one of 2, 3, 4, 8"),
    ({"bits": None}, {}, ConfigError, r"quantization_config\.bits: .*missing"),
    ({"group_size": 0}, {}, ConfigError, r"quantization_config\.group_size: a group of 0"),
    ({"bit": 4}, {}, ConfigError, r"quantization_config\.bit: .*did you mean 'bits'"),
    ({"quant_method": "gtpq"}, {}, ConfigError, r"quant_method: 'gtpq'.*did you mean 'gptq'"),
    ({"checkpoint_format": "marlin"}, {}, ConfigError, r"checkpoint_format: 'marlin' can't be"),
    ({"dynamic": {"-:.*mlp.*": {}}}, {}, CheckpointError, r"missing: .*mlp.*not used.*qweight"),
    ({}, {"scales": None}, CheckpointError, r"missing: model\.layers.*q_proj\.scales"),
    ({}, {"qweight": None}, CheckpointError, r"missing: .*q_proj\.weight.*not used.*scales"),
    ({}, {"g_idx": 99}, CheckpointError, r"q_proj\.g_idx: names groups from 99 to 99"),
]


@pytest.mark.parametrize(("config", "tensors", "kind", "said"), WRONG)
def test_what_does_not_fit_is_refused(
    small: Path, config: Any, tensors: Any, kind: Any, said: str, tmp_path: Path
) -> None:
    def other(data: dict[str, Any]) -> dict[str, Any]:
        fields = data["quantization_config"] | config
        return data | {"quantization_config": {n: v for n, v in fields.items() if v is not None}}

    def harmed(data: Tensors) -> Tensors:
        for end, value in tensors.items():
            for name in [n for n in data if n.endswith(f"q_proj.{end}")]:
                if value is None:
                    del data[name]
                else:
                    data[name] = torch.full_like(data[name], value)
        return data

    folder = ageing.aged(small, tmp_path / "wrong", config=other, tensors=harmed)
    with pytest.raises(kind, match=said) as caught:
        blocks.from_pretrained(folder)
    assert str(folder) in str(caught.value)


def test_a_config_that_the_tensors_deny_is_refused(
    small: Path, loaded: Get, tmp_path: Path
) -> None:
    it, said = loaded("llama", "plain"), {"quantization_config": TWINS["gptq"].config}
    plain = ageing.aged(it.folder, tmp_path / "plain", config=lambda data: data | said)
    with pytest.raises(ConfigError, match="says gptq, and no tensor is stored so"):
        blocks.from_pretrained(plain)
    assert "no tensor is stored so" in blocks.inspect(plain).misshapen[0]
    left = TWINS["nf4"].config | {"llm_int8_skip_modules": ["lm_head", "self_attn.q_proj"]}
    nf4 = folders(it, tmp_path / "nf4", Twin(left, TWINS["nf4"].make, "nf4"))[0]
    with pytest.raises(ConfigError, match=r"leaves 'self_attn.q_proj' as it is.*0\.self_attn\.q_p"):
        blocks.from_pretrained(nf4)
    assert not blocks.inspect(nf4).fits


def test_formats_of_several_groups(loaded: Get, tmp_path: Path) -> None:
    """Names before patterns before all; ModelOpt's file of its own; a vision model's text part."""
    it = loaded("llama", "plain")
    fours, eights = TWINS["packed"], TWINS["float-quantized"]
    down = re.compile(r".*down_proj\.weight")

    def both(tensors: Tensors) -> Tensors:
        some = {n: t for n, t in tensors.items() if down.fullmatch(n)}
        rest = {n: t for n, t in tensors.items() if n not in some}
        return stored(rest, fours)[0] | stored(some, eights)[0]

    groups = {
        "group_0": fours.config["config_groups"]["group_0"] | {"format": "pack-quantized"},
        "group_1": eights.config["config_groups"]["group_0"]
        | {"targets": ["re:.*down_proj$"], "format": "float-quantized"},
    }
    config = fours.config | {"format": "mixed-precision", "config_groups": groups}
    said = {"quantization_config": config}
    folder = ageing.aged(it.folder, tmp_path / "mixed", tensors=both, config=lambda d: d | said)
    report = blocks.inspect(folder)
    assert report.fits and {n for n, _ in report.quantised.values()} == {12, 2}
    assert len(blocks.from_pretrained(folder).provenance.changes) == 2


def test_modelopts_own_file(loaded: Get, tmp_path: Path) -> None:
    it, twin = loaded("llama", "plain"), TWINS["modelopt fp8"]
    folder, whole = folders(it, tmp_path, twin)
    data = ageing.read_config(folder)
    del data["quantization_config"]
    ageing.write_config(folder, data)
    said = {"producer": {"name": "modelopt"}, "quantization": {"quant_algo": "FP8"}}
    (folder / "hf_quant_config.json").write_text(json.dumps(said))
    ours = blocks.from_pretrained(folder, dtype=torch.float32)
    assert torch.equal(ours(it.tokens), blocks.from_pretrained(whole)(it.tokens))
    (folder / "hf_quant_config.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"hf_quant_config\.json: quantization"):
        blocks.from_pretrained(folder)


def scales_of_activations(tensors: Tensors) -> Tensors:
    names = [name.removesuffix(".weight_scale") for name in tensors if "weight_scale" in name]
    return tensors | {f"{name}.input_scale": torch.tensor(0.5) for name in names}


def test_factors_for_activations_are_left_alone(loaded: Get, tmp_path: Path) -> None:
    it: Any = loaded("llama", "plain")
    folder, whole = folders(it, tmp_path, TWINS["modelopt fp8"])
    more = ageing.aged(folder, tmp_path / "more", tensors=scales_of_activations)
    ours = blocks.from_pretrained(more, dtype=torch.float32)
    assert torch.equal(ours(it.tokens), blocks.from_pretrained(whole)(it.tokens))
    assert all(name.endswith("input_scale") for name in blocks.inspect(more).ignored)
