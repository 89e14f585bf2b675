"""generation_config.json: what is read of it, what is named, what is kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import blocks
from blocks import ConfigError
from blocks.hub.defaults import read_generation
from blocks.hub.source import resolve
from tests.generation.pairs import written
from tests.generation.tiny import tiny

FOREIGN: dict[str, Any] = {
    "sequence_bias": [[[3], 2.0]],
    "guidance_scale": 1.5,
    "encoder_repetition_penalty": 1.2,
    "exponential_decay_length_penalty": [5, 1.2],
    "num_beam_groups": 2,
    "diversity_penalty": 0.5,
    "penalty_alpha": 0.6,
    "dola_layers": "high",
    "stop_strings": ["END"],
    "force_words_ids": [[5]],
    "constraints": ["x"],
    "token_healing": True,
    "watermarking_config": {"bias": 2.0},
}


@pytest.mark.parametrize("field", FOREIGN)
def test_what_is_not_done_is_named(field: str, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match=f"generation_config.json: texts .* without {field}$"):
        kept = written(tmp_path, **{field: FOREIGN[field]})
    assert kept.to_json() == {field: FOREIGN[field]}


def test_what_changes_nothing_is_no_reason_to_warn(tmp_path: Path) -> None:
    inert = {"guidance_scale": 1.0, "num_beam_groups": 1, "sequence_bias": None, "constraints": []}
    sampling = {"do_sample": True, "temperature": 0.6, "top_p": 0.9, "max_length": 20}
    kept = written(tmp_path, **inert, **sampling, eos_token_id=3)
    assert kept.eos == (3,) and kept.to_json() == {**inert, **sampling, "eos_token_id": 3}


BAD: dict[str, Any] = {
    "eos_token_id": ["a"],
    "decoder_start_token_id": True,
    "forced_eos_token_id": 1.5,
    "suppress_tokens": [[1]],
    "bad_words_ids": [1],
    "num_beams": -1,
    "no_repeat_ngram_size": 2.5,
    "min_length": "5",
    "length_penalty": "long",
    "repetition_penalty": True,
    "early_stopping": "soon",
    "renormalize_logits": 1,
}


@pytest.mark.parametrize("field", BAD)
def test_bad_fields_are_named(field: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=field) as caught:
        written(tmp_path, **{field: BAD[field]})
    assert caught.value.field == field and str(caught.value.file).endswith(".json")


def test_config_json_is_read_where_there_is_no_other(tmp_path: Path) -> None:
    fields = {"num_beams": 5, "decoder_start_token_id": 4, "no_repeat_ngram_size": 3}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "x", **fields}))
    found = read_generation(resolve(tmp_path))
    assert (found.beams, found.start, found.no_repeat_ngram) == (5, 4, 3) and not found.other
    found = written(tmp_path, eos_token_id=2)
    assert (found.beams, found.start, found.no_repeat_ngram) == (1, 4, 0), "ids alone are shared"


def test_saved_defaults_come_back(tmp_path: Path) -> None:
    model = tiny()
    model.generation = written(tmp_path, num_beams=3, bad_words_ids=[[1], [2, 3]], top_k=7)
    blocks.save_pretrained(model, tmp_path / "saved")
    assert blocks.from_pretrained(tmp_path / "saved").generation == model.generation
