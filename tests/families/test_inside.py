"""Text models inside larger ones: both forms of their files, and what is done with the rest."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file

import blocks
from blocks import CheckpointError, ConfigError
from tests.families import ageing
from tests.families.reference import TOLERANCE, case_of, families, first

nested = pytest.mark.parametrize(
    "family", [name for name in families("decoder") if case_of(name).inside == "text_config"]
)


@nested
def test_the_names_of_transformers_5(loaded, tmp_path, family):
    it = loaded(family, first(family))
    it.reference.save_pretrained(tmp_path, save_original_format=False)
    before, after = (set(load_file(at / "model.safetensors")) for at in (it.folder, tmp_path))
    assert "lm_head.weight" in after and before.isdisjoint(after)
    ours = blocks.from_pretrained(tmp_path)
    assert it.close(ours(it.tokens), it.logits) <= TOLERANCE


@nested
def test_a_field_beside_the_text_model_must_say_the_same(loaded, tmp_path, family):
    it = loaded(family, first(family))
    size = it.case.body(ageing.read_config(it.folder))["hidden_size"]
    same = ageing.aged(it.folder, tmp_path / "same", config=lambda d: d | {"hidden_size": size})
    assert blocks.from_pretrained(same).spec == it.ours.spec
    other = ageing.aged(it.folder, tmp_path / "other", config=lambda d: d | {"hidden_size": 7})
    with pytest.raises(ConfigError, match=f"hidden_size: is 7 here, {size} in text_config"):
        blocks.from_pretrained(other)


@nested
def test_another_text_model_is_refused(loaded, tmp_path, family):
    it = loaded(family, first(family))
    llama = {"config": lambda data: it.case.put(data, {"model_type": "llama"})}
    with pytest.raises(ConfigError, match=r"text_config\.model_type"):
        blocks.from_pretrained(ageing.aged(it.folder, tmp_path / "llama", **llama))


def test_the_half_that_is_left_out_is_told(loaded, tmp_path):
    it = loaded("gemma3", "plain")
    file = load_file(it.folder / "model.safetensors")
    eyes = {name for name in file if not name.startswith("language_model.")}
    assert len(eyes) > 30 and set(it.ours.provenance.left_out) == eyes
    assert set(blocks.inspect(it.folder).ignored) == eyes and blocks.inspect(it.folder).fits
    blocks.save_pretrained(it.ours, tmp_path)
    assert set(blocks.from_pretrained(tmp_path).provenance.left_out) == eyes

    def stray(tensors):
        return tensors | {"language_model.model.vision_tower.weight": torch.ones(2)}

    with pytest.raises(CheckpointError, match="not used by the model: language_model.model.vis"):
        blocks.from_pretrained(ageing.aged(it.folder, tmp_path / "stray", tensors=stray))


def test_a_text_half_is_exported_as_the_model_of_text_alone(loaded, tmp_path):
    it = loaded("gemma3", "plain")
    for family in (None, "gemma3", "gemma3_text"):
        folder = tmp_path / str(family)
        blocks.export(it.ours, folder, family=family)
        data = json.loads((folder / "config.json").read_text())
        assert (data["model_type"], data["architectures"]) == ("gemma3_text", ["Gemma3ForCausalLM"])
        assert "text_config" not in data
    alone = blocks.from_pretrained(tmp_path / "None")
    assert alone.spec == it.ours.spec and alone.provenance.left_out == ()
    assert torch.equal(alone(it.tokens), it.ours(it.tokens))
