"""Adapter files that are of another model, damaged or unknown: each is said, nothing is changed."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

import blocks
from blocks import BlocksError, load_adapter
from blocks.hub.peft.settings import is_quick, read_settings
from tests.hub.toy import write

TOKENS = torch.tensor([[1, 2, 3, 4]])
CONFIG: dict[str, Any] = {"peft_type": "LORA", "r": 2, "lora_alpha": 4}
CONFIG |= {"target_modules": ["q_proj"], "base_model_name_or_path": "org/other"}
_LAYER = "base_model.model.model.layers.{}.self_attn.{}.lora_{}.weight"


def pair(
    layer: int = 0, name: str = "q_proj", out: int = 16, rank: int = 2, width: int = 16
) -> Any:
    shapes = {"A": (rank, width), "B": (out, rank)}
    return {_LAYER.format(layer, name, k): torch.full(s, 0.1) for k, s in shapes.items()}


GOOD: dict[str, Tensor] = pair(0) | pair(1)


def adapter(folder: Path, tensors: dict[str, Tensor] | None = None, **config: Any) -> Path:
    folder.mkdir()
    said = {k: v for k, v in {**CONFIG, **config}.items() if v != "absent"}
    (folder / "adapter_config.json").write_text(json.dumps(said))
    save_file(GOOD if tensors is None else tensors, folder / "adapter_model.safetensors")
    return folder


@pytest.fixture
def base(tmp_path: Path) -> Any:
    return blocks.from_pretrained(write(tmp_path / "base"))


A0 = _LAYER.format(0, "q_proj", "A")
LENGTHS = A0.replace("lora_A.weight", "lora_magnitude_vector")
HEAD, NORM = "base_model.model.lm_head.weight", "base_model.model.model.norm.lora_{}.weight"
SMALL = {NORM.format("A"): torch.ones(2, 16), NORM.format("B"): torch.ones(16, 2)}
TENSORS: dict[str, tuple[dict[str, Tensor], str]] = {
    "other names": ({"base_model.model.h.0.lora_A.weight": torch.ones(2, 16)}, "has no h.0"),
    "more layers": (GOOD | pair(2), r"has no model.layers.2.self_attn.q_proj"),
    "another width": (pair(0, width=8) | pair(1), r"A of \[2, 8\], not \[2, 16\]"),
    "another height": (pair(0, out=8) | pair(1), r"B of \[8, 2\], not \[16, 2\]"),
    "another rank": (pair(0, rank=3) | pair(1), r"A of \[3, 16\], not \[2, 16\]"),
    "A alone": ({A0: torch.ones(2, 16)}, "has a alone"),
    "a layer missing": (pair(0), r"layers.1.self_attn.q_proj is one of target_modules, and has no"),
    "not targeted": (GOOD | pair(0, "k_proj", 8), "k_proj is none of target_modules"),
    "nothing": ({}, "one of target_modules, and has no tensors"),
    "infinity": (GOOD | {A0: torch.full((2, 16), torch.inf)}, "NaN or infinity"),
    "integers": ({n: t.long() for n, t in GOOD.items()}, "holds I64, not floats"),
    "lengths": (GOOD | {LENGTHS: torch.ones(16)}, "has lengths of rows"),
    "a norm": (GOOD | SMALL, "which can't have an adapter"),
    "another head": (GOOD | {HEAD: torch.ones(9, 16)}, r"lm_head.weight is \[9, 16\]"),
}


@pytest.mark.parametrize("case", TENSORS)
def test_tensors_of_another_model(case: str, base: Any, tmp_path: Path) -> None:
    tensors, words = TENSORS[case]
    folder = adapter(tmp_path / "adapter", tensors)
    spec, before = base.spec, base(TOKENS)
    with pytest.raises(BlocksError, match=words) as caught:
        load_adapter(base, folder)
    if "doesn't fit" in str(caught.value):
        assert "made for 'org/other'" in str(caught.value)
    assert base.spec is spec and torch.equal(base(TOKENS), before)
    assert all(p.requires_grad for p in base.parameters())


FIELDS: dict[str, tuple[dict[str, Any], str]] = {
    "another kind": ({"peft_type": "LOHA"}, "'LOHA' is not supported; 'LORA' is"),
    "unknown": ({"use_magic": True}, "use_magic: this field is not known"),
    "misspelt": ({"use_rslor": True}, "did you mean 'use_rslora'"),
    "other start": ({"init_lora_weights": "pissa"}, "begins with another W"),
    "replicated layers": ({"layer_replication": [[0, 2]]}, "layer_replication.*not supported"),
    "tokens": ({"trainable_token_indices": [1]}, "trainable_token_indices.*not supported"),
    "bias of B": ({"lora_bias": True}, "lora_bias.*not supported"),
    "rank": ({"r": 0}, "r: 0 is not between"),
    "rank of a pattern": ({"rank_pattern": {"q_proj": 1 << 20}}, "rank_pattern.q_proj"),
    "type": ({"lora_alpha": "much"}, "lora_alpha"),
    "dropout": ({"lora_dropout": 1.5}, "lora_dropout"),
    "bias": ({"bias": "some"}, "'some' is not one of"),
    "an endless pattern": ({"alpha_pattern": {"(a+)+$": 3}}, "no expression that can be tried"),
}


@pytest.mark.parametrize("case", FIELDS)
def test_fields_that_would_change_what_is_computed(case: str, base: Any, tmp_path: Path) -> None:
    fields, words = FIELDS[case]
    with pytest.raises(BlocksError, match=words) as caught:
        load_adapter(base, adapter(tmp_path / "adapter", **fields))
    assert "adapter_config.json" in str(caught.value)


def test_an_option_that_is_null_is_no_option(base: Any, tmp_path: Path) -> None:
    """Later versions of the format write one for each option that they have."""
    loaded = load_adapter(base, adapter(tmp_path / "adapter", use_magic=None, peft_version="9"))
    assert len(blocks.trainable(loaded)) == 4


def test_a_pickle_is_never_opened(base: Any, tmp_path: Path) -> None:
    folder = adapter(tmp_path / "adapter")
    (folder / "adapter_model.safetensors").unlink()
    with pytest.raises(blocks.CheckpointError, match="has no adapter_model.safetensors"):
        load_adapter(base, folder)
    (folder / "adapter_model.bin").write_bytes(pickle.dumps({}))
    with pytest.raises(blocks.CheckpointError, match="never opened.*safe_serialization"):
        load_adapter(base, folder)


def test_folders_that_are_none(base: Any, tmp_path: Path) -> None:
    with pytest.raises(blocks.HubError, match=r"has no adapter_config.json.*from_pretrained"):
        load_adapter(base, tmp_path / "base")
    folder = adapter(tmp_path / "adapter")
    with pytest.raises(blocks.CheckpointError, match=r"is an adapter of.*blocks.load_adapter"):
        blocks.from_pretrained(folder)
    loaded = load_adapter(base, folder)
    with pytest.raises(blocks.CheckpointError, match="have an adapter already"):
        load_adapter(loaded, folder)
    with pytest.raises(blocks.CheckpointError, match="'lama' is no family"):
        load_adapter(base, folder, family="lama")
    with pytest.raises(blocks.CheckpointError, match="has no adapter"):
        blocks.save_adapter(base, tmp_path / "none")
    own = base.spec()
    with pytest.raises(blocks.CheckpointError, match="nobody says of which one"):
        load_adapter(own, folder)
    assert len(blocks.trainable(load_adapter(own.eval(), folder, family="llama"))) == 4


def test_names_without_the_head_and_of_raw_training(base: Any, tmp_path: Path) -> None:
    bare = {n.replace("model.model.model.", "model.model."): t for n, t in GOOD.items()}
    raw = {n.replace(".weight", ".default.weight"): t for n, t in GOOD.items()}
    found = [
        load_adapter(base, adapter(tmp_path / str(n), tensors))(TOKENS)
        for n, tensors in enumerate((GOOD, bare, raw))
    ]
    assert torch.equal(found[0], found[1]) and torch.equal(found[0], found[2])
    assert not torch.allclose(found[0], base(TOKENS))


PATTERNS = {
    r"model\.layers\.[0-9]+\.self_attn\.(q|v)_proj": True,
    r".*decoder.*(SelfAttention|EncDecAttention).*(q|v)$": True,
    r"^(?!.*visual).*(?:q_proj|v_proj)": True,
    "(a+)+b": False,
    "(a|a)*b": False,
    ".*.*.*.*.*b": False,
    "a?" * 30 + "a" * 30: False,
    "(a|a)" * 30: False,
    "(": False,
    "a" * 500: False,
}


@pytest.mark.parametrize("pattern", PATTERNS)
def test_expressions_of_strangers_end(pattern: str) -> None:
    assert is_quick(pattern) == PATTERNS[pattern]


def test_which_matrices_a_config_names(tmp_path: Path) -> None:
    def targeted(path: str, **fields: Any) -> bool | None:
        file = tmp_path / "adapter_config.json"
        file.write_text(json.dumps({**CONFIG, **fields}))
        return read_settings(file).targeted(path)

    path = "model.layers.3.self_attn.q_proj"
    assert targeted(path) and not targeted("model.layers.3.self_attn.uq_proj")
    assert targeted(path, target_modules=r".*\.q_proj") is True
    assert targeted(path, target_modules="q_proj") is False  # an expression, of the whole path
    assert targeted(path, target_modules="all-linear") is None
    assert targeted(path, target_modules="(a+)+") is None
    assert targeted(path, layers_to_transform=3) and not targeted(path, layers_to_transform=[2])
    assert not targeted(path, layers_to_transform=[3], layers_pattern="blocks")
    assert targeted(path, layers_to_transform=[3], layers_pattern=["layers"])
    assert not targeted(path, exclude_modules=["q_proj"])
    assert not targeted(path, exclude_modules=r".*layers\.3.*")
