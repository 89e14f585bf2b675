"""Mamba's first files: a config without a model_type, and one tensor of another name."""

from __future__ import annotations

import pytest
import torch

import blocks
from blocks import ConfigError
from blocks.families import type_of
from blocks.hub.config import Config
from blocks.hub.outline import outline_of
from tests.families import ageing
from tests.families.cases.mamba import ORIGINAL
from tests.families.reference import TOLERANCE


def first_form(data, **changes):
    """config.json as the first files have it; the vocabulary is rounded up there."""
    return {
        "d_model": data["hidden_size"],
        "n_layer": data["num_hidden_layers"],
        "vocab_size": data["vocab_size"] - 2,
        "ssm_cfg": {"d_state": data["state_size"]},
        "rms_norm": True,
        "residual_in_fp32": True,
        "fused_add_norm": True,
        "pad_vocab_size_multiple": 97,
        "layer_norm_epsilon": data["layer_norm_epsilon"],
        **changes,
    }


def renamed(tensors):
    return {name.replace("embeddings.", "embedding."): t for name, t in tensors.items()}


@pytest.mark.parametrize("variant", ["plain", "tied"])
def test_the_first_files(loaded, tmp_path, variant):
    it = loaded("mamba", variant)
    folder = ageing.aged(it.folder, tmp_path / "first", config=first_form, tensors=renamed)
    assert "model_type" not in ageing.read_config(folder)
    ours = blocks.from_pretrained(folder)
    assert ours.spec == it.ours.spec
    assert it.close(it.answer(ours, it.tokens), it.logits) <= TOLERANCE * 5
    assert blocks.inspect(folder).model_type == "mamba"


def test_options_inside_ssm_cfg():
    options = {"d_state": 8, "d_conv": 3, "expand": 3, "dt_rank": 5, "bias": True}
    options |= {"conv_bias": False, "dt_min": 0.01, "layer": "Mamba1"}
    mixer = blocks.at(outline_of(Config({**ORIGINAL, "ssm_cfg": options})).spec, "layers.0.mixer")
    said = {"state_dim": 8, "kernel": 3, "inner": 2304, "rank": 5, "bias": True}
    assert mixer.keywords.items() >= (said | {"conv_bias": False}).items()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"ssm_cfg": {"d_stat": 8}}, "ssm_cfg.d_stat"),
        ({"ssm_cfg": {"d_state": 8}, "state_size": 16}, "state_size"),
        ({"hidden_size": 760}, "hidden_size"),
        ({"rms_norm": False}, "rms_norm"),
        ({"attn_layer_idx": [3]}, "attn_layer_idx"),
        ({"d_intermediate": 64}, "d_intermediate"),
        ({"ssm_cfg": None}, "model_type"),
    ],
)
def test_what_cannot_be_read_is_named(changes, field):
    data = {**ORIGINAL, **changes}
    if changes == {"ssm_cfg": None}:
        del data["ssm_cfg"]
    with pytest.raises(ConfigError) as caught:
        outline_of(Config(data))
    assert caught.value.field == field


def test_the_kind_is_told_by_the_fields():
    assert type_of(ORIGINAL) == "mamba"
    assert type_of({**ORIGINAL, "ssm_cfg": {"layer": "Mamba2"}}) == "mamba2"
    assert type_of({**ORIGINAL, "ssm_cfg": 3}) == "mamba"
    assert type_of({"model_type": "llama"}) == "llama"
    assert type_of({"d_model": 8, "n_layer": 2}) is None


def test_norms_inside_have_no_weights(loaded):
    ours = loaded("falcon_mamba", "plain").ours
    assert not [name for name in blocks.addresses(ours) if "norms" in name]


@torch.no_grad()
def test_the_sum_of_layers_stays_in_float32(loaded):
    it = loaded("mamba", "plain")
    ours = blocks.from_pretrained(it.folder, dtype=torch.bfloat16)
    kinds = []
    for layer in ours.layers:
        layer.register_forward_hook(lambda _, __, out: kinds.append(out.dtype))
    assert ours(it.tokens).dtype == torch.bfloat16
    assert kinds == [torch.float32] * 2
