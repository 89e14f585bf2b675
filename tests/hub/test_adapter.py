"""A whole model beside an adapter's file: asked for by strict=False, it is loaded and said so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from blocks import CheckpointError, from_pretrained, inspect
from tests.hub.toy import tensors, write


def test_the_whole_model_is_loaded_where_it_is_asked_for(tmp_path: Path) -> None:
    data = tensors()
    write(tmp_path, data)
    said = {"peft_type": "LORA", "base_model_name_or_path": "org/\x1b[2Jbase"}
    (tmp_path / "adapter_config.json").write_text(json.dumps(said))
    with pytest.raises(CheckpointError, match="is an adapter of .*base"):
        from_pretrained(tmp_path)
    with pytest.warns(UserWarning, match="the adapter is left out") as told:
        model = from_pretrained(tmp_path, strict=False)
    assert str(told[0].message).isprintable() and told[0].filename == __file__
    assert torch.equal(model.head.weight, data["lm_head.weight"])
    with pytest.warns(UserWarning, match="is an adapter of") as told:
        assert inspect(tmp_path).fits
    assert told[0].filename == __file__


def test_inspect_says_that_an_adapter_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text('{"base_model_name_or_path": "org/base"}')
    with pytest.raises(CheckpointError, match="adapter of 'org/base'") as error:
        inspect(tmp_path)
    assert "load_adapter" in str(error.value)
