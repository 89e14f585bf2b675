"""What can't be loaded is said in one error, before anything is allocated."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from blocks import BlocksError, CheckpointError, ConfigError, HubError, from_pretrained
from blocks.families import llama
from blocks.hub.keys import Keys
from tests.clock import soon
from tests.hub.toy import tensors, write


def refused(folder: Path, kind: type[BlocksError] = CheckpointError, **options: Any) -> BlocksError:
    def load() -> BlocksError:
        with pytest.raises(kind) as caught:
            from_pretrained(folder, **options)
        return caught.value

    error = soon(2, load)
    assert type(error) is kind and error.reason and len(str(error)) <= 2000
    return error


def test_missing_extra_and_misshapen_are_all_listed_at_once(tmp_path: Path) -> None:
    data = tensors()
    del data["model.layers.0.mlp.up_proj.weight"], data["model.layers.1.mlp.up_proj.weight"]
    data["model.layers.0.self_attn.rotary.scale"] = torch.ones(3)
    data["model.norm.weight"] = torch.ones(17)
    error = refused(write(tmp_path, data))
    for part in ("layers.{0-1}.mlp.up_proj.weight", "rotary.scale", "[17], not [16]", "missing"):
        assert part in str(error)
    assert error.tensor == "model.norm.weight"


FIELDS = [
    ("num_key_value_heads", 4, "num_key_value_heads = 2"),
    ("intermediate_size", 48, "intermediate_size = 24"),
    ("vocab_size", 31, "vocab_size = 32"),
    ("hidden_size", 32, "hidden_size = 16"),
    ("num_hidden_layers", 3, "2 layers, num_hidden_layers says 3"),
    ("num_hidden_layers", 1, "2 layers, num_hidden_layers says 1"),
]


@pytest.mark.parametrize(("field", "value", "words"), FIELDS)
def test_the_config_field_that_disagrees_is_named(
    tmp_path: Path, field: str, value: int, words: str
) -> None:
    error = refused(write(tmp_path, **{field: value}))
    assert words in str(error.hint), error


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("hidden_size", 0),
        ("hidden_size", -16),
        ("hidden_size", 2**60),
        ("hidden_size", 16.5),
        ("hidden_size", "16"),
        ("num_attention_heads", 3),
        ("num_key_value_heads", 3),
        ("num_hidden_layers", 0),
        ("num_hidden_layers", 10**6),
        ("rms_norm_eps", float("nan")),
        ("rms_norm_eps", -1.0),
        ("rope_theta", float("inf")),
        ("rope_theta", 0.0),
        ("hidden_act", "swoosh"),
        ("model_type", "lama"),
        ("model_type", None),
        ("model_type", 5),
        ("model_type", "_decoder"),
        ("model_type", "../llama"),
        ("architectures", ["LlamaForSequenceClassification"]),
        ("num_atention_heads", 4),
        ("attention_multiplier", 2.0),
        ("rope_scaling", {"rope_type": "unheard", "factor": 2.0}),
        ("quantization_config", {"quant_method": "gptq"}),
    ],
)
def test_bad_config_fields(tmp_path: Path, field: str, value: Any) -> None:
    error = refused(write(tmp_path, **{field: value}), ConfigError)
    assert error.file == str(tmp_path / "config.json") and error.field


@pytest.mark.parametrize("name", ["lama", "Llama", "mistrall"])
def test_an_unknown_family_shows_near_names_and_all(tmp_path: Path, name: str) -> None:
    text = str(refused(write(tmp_path, model_type=name), ConfigError))
    assert "near: " in text and "known: " in text and "llama" in text


def test_huge_sizes_are_refused_before_they_are_allocated(tmp_path: Path) -> None:
    for n, kind in ((2**40, ConfigError), (2**26, CheckpointError)):
        sizes = {"hidden_size": n, "vocab_size": n, "intermediate_size": n}
        refused(write(tmp_path / str(n), **sizes, num_attention_heads=2**8), kind)
    refused(write(tmp_path / "deep", num_hidden_layers=10**9), ConfigError)


def test_missing_folder_and_files(tmp_path: Path) -> None:
    refused(tmp_path / "nowhere" / "at" / "all", HubError)
    refused(tmp_path, HubError)
    empty = write(tmp_path / "weights only")
    (empty / "config.json").unlink()
    refused(empty, HubError)
    bare = write(tmp_path / "config only")
    (bare / "model.safetensors").unlink()
    assert "no weights" in str(refused(bare))


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "{'a': 1}", '{"a": 1, "a": 2}', "\x00", "[" * 10_000]
)
def test_a_config_that_is_no_json_object(tmp_path: Path, text: str) -> None:
    write(tmp_path)
    (tmp_path / "config.json").write_text(text)
    error = refused(tmp_path, ConfigError)
    assert error.file == str(tmp_path / "config.json")


def test_native_files_with_an_unknown_block_say_what_to_hand_in(tmp_path: Path) -> None:
    write(tmp_path)
    spec = {"block": "mine.blocks:Own", "options": {}}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "blocks", "spec": spec}))
    error = refused(tmp_path, ConfigError)
    assert "blocks=(Own,)" in str(error) and error.file == str(tmp_path / "config.json")


@pytest.mark.parametrize("spec", [None, {}, [], 3, "x", {"block": "MLP", "options": {"hidden": 4}}])
def test_native_files_without_a_model(tmp_path: Path, spec: Any) -> None:
    write(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "blocks", "spec": spec}))
    refused(tmp_path, ConfigError)


def test_a_gap_in_a_family_s_names_is_no_random_matrix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = [rule for rule in llama.KEYS.rules if "mlp.up" not in str(rule)]
    gap = dataclasses.replace(llama.FAMILY, keys=Keys(*rules, ignore=("*.mlp.up_proj.weight",)))
    monkeypatch.setattr(llama, "FAMILY", gap)
    data = {name: tensor for name, tensor in tensors().items() if "up_proj" not in name}
    error = refused(write(tmp_path, data))
    assert "the family has no name for: layers.{0-1}.mlp.up.weight" in str(error)
