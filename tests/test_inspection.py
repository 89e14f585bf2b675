"""inspect: a checkpoint told from config.json and headers, whether it fits or not."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AlbertConfig, AlbertModel, LlamaConfig, LlamaForCausalLM

import blocks
from blocks import BlocksError, ConfigError, HubError, SpecError
from tests.clock import slower
from tests.hub.conftest import hub_server  # noqa: F401  # a fixture
from tests.hub.loopback import HubServer

ROOT = Path(__file__).parents[1]
HUB = ROOT.parent / "shared" / "data" / "hub"
SIZES = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 50,
    "max_position_embeddings": 64,
}


def saved(folder: Path, **options: object) -> Path:
    shard = options.pop("shard", "1GB")
    model = LlamaForCausalLM(LlamaConfig(**{**SIZES, **options})).to(torch.bfloat16)
    model.save_pretrained(folder, max_shard_size=shard)
    return folder


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def copied(tiny: Path, tmp_path: Path) -> Path:
    shutil.copytree(tiny, tmp_path / "copy")
    return tmp_path / "copy"


def configure(folder: Path, **fields: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_what_fits(tiny: Path) -> None:
    report = blocks.inspect(tiny)
    model = blocks.from_pretrained(tiny)
    assert report.fits
    assert (report.model_type, report.architectures) == ("llama", ("LlamaForCausalLM",))
    assert (report.source, report.commit, report.context) == (str(tiny), None, 64)
    assert report.parameters == sum(p.numel() for p in model.parameters())
    assert report.nbytes == 2 * report.parameters
    assert (report.dtype, report.dtypes) == ("bfloat16", {"BF16": len(report.tensors)})
    assert report.files == ("model.safetensors",)
    assert not (report.missing or report.unmapped or report.misshapen or report.ignored)
    assert [row.addresses[0] for row in report.tensors] == list(blocks.addresses(model))


def test_each_tensor_says_where_it_lands(tiny: Path) -> None:
    rows = {row.name: row for row in blocks.inspect(tiny).tensors}
    key = rows["model.layers.1.self_attn.k_proj.weight"]
    assert key[1:5] == ("BF16", (8, 16), ("layers.1.attention.k.weight",), "GQAttention")
    assert key.parameters == 128
    assert rows["model.layers.0.input_layernorm.weight"].block == "RMSNorm"
    assert rows["model.norm.weight"].block == "RMSNorm"
    assert rows["lm_head.weight"].block == "LMHead"


def test_fused_tensors_land_in_several_places(tmp_path: Path) -> None:
    from transformers import Phi3Config, Phi3ForCausalLM

    Phi3ForCausalLM(Phi3Config(**SIZES, pad_token_id=0)).save_pretrained(tmp_path)
    report = blocks.inspect(tmp_path)
    row = next(r for r in report.tensors if r.name.endswith("1.self_attn.qkv_proj.weight"))
    assert row.addresses == tuple(f"layers.1.attention.{part}.weight" for part in "qkv")
    assert report.fits


def test_what_is_tied_counts_once(tmp_path: Path) -> None:
    report = blocks.inspect(saved(tmp_path, tie_word_embeddings=True))
    assert report.tied == (("head.weight", "embedding.weight"),)
    model = blocks.from_pretrained(tmp_path)
    assert report.parameters == sum(p.numel() for p in model.parameters())


def test_a_layer_that_is_all_of_them(tmp_path: Path) -> None:
    sizes = {name: n for name, n in SIZES.items() if name != "num_key_value_heads"}
    AlbertModel(AlbertConfig(**sizes, embedding_size=8)).save_pretrained(tmp_path / "theirs")
    model = blocks.from_pretrained(tmp_path / "theirs")
    blocks.save_pretrained(model, tmp_path / "ours")
    for folder in (tmp_path / "theirs", tmp_path / "ours"):
        report = blocks.inspect(folder)
        assert report.fits
        assert ("layers.1.mlp.up.weight", "layers.0.mlp.up.weight") in report.tied
        assert report.parameters == sum(p.numel() for p in model.parameters())
        assert blocks.explain(folder).parameters == report.parameters


def test_a_misfit_is_reported_and_not_raised(copied: Path) -> None:
    tensors = load_file(copied / "model.safetensors")
    del tensors["model.norm.weight"]
    tensors["model.extra.weight"] = torch.ones(3)
    tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(2)
    tensors["model.layers.0.mlp.up_proj.weight"] = torch.ones(24, 15)
    save_file(tensors, copied / "model.safetensors")
    report = blocks.inspect(copied)
    assert not report.fits
    assert report.missing == ("model.norm.weight",)
    assert report.unmapped == ("model.extra.weight",)
    assert report.ignored == ("model.layers.0.self_attn.rotary_emb.inv_freq",)
    assert report.misshapen == ("model.layers.0.mlp.up_proj.weight is [24, 15], not [24, 16]",)
    assert report.dtypes == {"BF16": 19, "F32": 3}
    for word in ("NO", "model.norm.weight", "model.extra.weight", "[24, 15]", "inv_freq"):
        assert word in str(report)


def test_more_layers_than_the_file_holds(copied: Path) -> None:
    configure(copied, num_hidden_layers=40)
    report = blocks.inspect(copied)
    assert len(report.missing) == 38 * 9
    assert "model.layers.{2-39}.mlp.up_proj.weight" in str(report)
    configure(copied, num_hidden_layers=3_000)
    with pytest.raises(ConfigError, match="asks for 3000 layers"):
        blocks.inspect(copied)


def test_an_index_is_enough(tiny: Path, tmp_path: Path) -> None:
    saved(tmp_path, shard="4KB")
    shards = sorted(tmp_path.glob("*.safetensors"))
    assert len(shards) > 2
    whole = blocks.inspect(tmp_path)
    for shard in shards:
        shard.unlink()
    report = blocks.inspect(tmp_path)
    assert report.fits
    assert (report.parameters, report.nbytes) == (whole.parameters, whole.nbytes)
    assert (report.dtype, report.dtypes) == ("bfloat16", {})
    assert [r.shape for r in report.tensors] == [r.shape for r in whole.tensors]
    assert report.memory() == whole.memory()
    assert "says config.json" in str(report)


def test_memory_is_what_loading_and_generating_take(tiny: Path) -> None:
    report = blocks.inspect(tiny)
    model = blocks.from_pretrained(tiny)
    state = model.init_state(3, 40).nbytes
    held = sum(p.numel() * p.element_size() for p in model.parameters())
    assert report.memory(3, 40) == {"weights": held, "state": state, "total": held + state}
    assert report.memory(3)["state"] == model.init_state(3, 64).nbytes
    assert report.memory(3, 40, torch.float32)["total"] == 2 * (held + state)
    assert report.memory(3, 40, "float32") == report.memory(3, 40, torch.float32)


@pytest.mark.parametrize(
    "wrong", [{"batch": 0}, {"context": -1}, {"context": 0}, {"dtype": "int8"}, {"dtype": 8}]
)
def test_memory_of_nothing_is_an_error(tiny: Path, wrong: dict) -> None:
    with pytest.raises(SpecError, match=next(iter(wrong))):
        blocks.inspect(tiny).memory(**wrong)


OLDER = {"transformers_version": "4.27.0"}  # than the eps of its norms


def test_dialects_and_assumed_values(copied: Path) -> None:
    path = copied / "config.json"
    data = json.loads(path.read_text())
    report = blocks.inspect(copied)
    assert report.dialect == "v5"
    assert report.assumed["rope_theta"] is None  # rope_parameters says it
    for name in ("rope_parameters", "dtype", "rms_norm_eps"):
        data.pop(name)
    path.write_text(json.dumps(data | {"rope_theta": 5e5, "torch_dtype": "bfloat16", **OLDER}))
    report = blocks.inspect(copied)
    assert report.dialect == "v4"
    assert report.assumed["rms_norm_eps"] == 1e-6
    assert "rms_norm_eps=1e-06" in str(report)


def test_our_own_format(tiny: Path, tmp_path: Path) -> None:
    blocks.save_pretrained(blocks.from_pretrained(tiny), tmp_path / "native")
    report = blocks.inspect(tmp_path / "native")
    assert (report.model_type, report.dialect, report.fits) == ("blocks", None, True)
    assert report.parameters == blocks.inspect(tiny).parameters
    assert all(row.addresses == (row.name,) for row in report.tensors)


def test_json_holds_everything(tiny: Path) -> None:
    report = blocks.inspect(tiny)
    data = json.loads(json.dumps(report.to_json()))
    assert data["parameters"] == sum(row["parameters"] for row in data["tensors"])
    assert data["memory"] == report.memory()
    assert (data["fits"], data["missing"], data["dialect"]) == (True, [], "v5")


def test_the_table_is_plain_text(tiny: Path) -> None:
    report = str(blocks.inspect(tiny))
    assert "model.layers.{0-1}.mlp.down_proj.weight" in report
    assert not [line for line in report.splitlines() if line != line.rstrip()]
    assert "\x1b" not in report


def test_only_headers_are_asked_of_a_hub(
    tiny: Path,
    hub_server: HubServer,  # noqa: F811  # the fixture
) -> None:
    files = {path.name: path.read_bytes() for path in tiny.iterdir()}
    hub_server.add("org/tiny", files)
    report = blocks.inspect("org/tiny")
    assert report.fits
    assert report.commit is not None
    assert report.tensors == blocks.inspect(tiny).tensors
    asked = hub_server.asked("GET", "model.safetensors")
    assert asked
    assert all("range" in request.headers for request in asked)


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        (lambda folder: (folder / "config.json").unlink(), HubError, "no config.json"),
        (lambda folder: (folder / "config.json").write_text("{"), ConfigError, "JSON"),
        (lambda folder: configure(folder, model_type="lama"), ConfigError, "llama"),
        (lambda folder: configure(folder, hiden_act="silu"), ConfigError, "hidden_act"),
        (lambda folder: configure(folder, num_attention_heads=5), ConfigError, "heads"),
        (lambda folder: (folder / "model.safetensors").unlink(), BlocksError, "no weights"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"x"), BlocksError, "no safe"),
    ],
)
def test_what_cant_be_read_is_raised(copied: Path, change, error, match: str) -> None:
    change(copied)
    with pytest.raises(error, match=match):
        blocks.inspect(copied)


@pytest.mark.parametrize(
    ("folder", "parameters"),
    [
        ("llama-3.1-70b", 70_553_804_800),
        ("mixtral-8x22b", 140_620_634_112),
        ("phi-3-mini", 3_821_079_552),
    ],
)
def test_published_indexes(folder: str, parameters: int) -> None:
    if not (HUB / folder).is_dir():
        pytest.skip(f"the published files of {folder} are not beside the repository")
    code = (
        "import sys, time; from blocks.cli.standin import light\n"
        "with light():\n"
        "    from blocks.hub.inspection import inspect\n"
        "    start = time.process_time(); report = inspect(sys.argv[1]); text = str(report)\n"
        "    print(report.parameters, report.fits, time.process_time() - start)"
    )
    command = [sys.executable, "-W", "error", "-c", code, str(HUB / folder)]
    light, full = [], []
    for _ in range(3):  # the best of three: a neighbour's load is not the library's
        result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
        assert result.returncode == 0, result.stderr
        found, fits, seconds = result.stdout.split()
        assert (int(found), fits) == (parameters, "True")
        light.append(float(seconds))
    for _ in range(4):  # the first tensor on meta costs torch a second of imports
        start = time.process_time()
        report = blocks.inspect(HUB / folder)
        full.append(time.process_time() - start)
        assert (report.parameters, report.fits) == (parameters, True)
    assert min(light) < slower() and min(full) < slower()  # seconds
