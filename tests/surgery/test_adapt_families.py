"""Every decoder family: an adapter of all its matrices goes through the file and is merged."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import blocks
from blocks.models.adapters import matrices_of
from tests.surgery.adapting import drawn, near
from tests.surgery.families import DECODERS, model_of, tokens_of

REFUSED = {
    "blt": (blocks.SpecError, "split: belongs to the assembly"),
    "dbrx": (blocks.CheckpointError, "is stored by a rule"),  # experts, one below the other
    "zamba2": (blocks.CheckpointError, "has no name"),  # for what the layers share
}


@pytest.mark.slow
@pytest.mark.parametrize("family", DECODERS)
def test_an_adapter_of_every_matrix(family: str, tmp_path: Path) -> None:
    model, tokens = model_of(family), tokens_of(family)
    names = [*matrices_of(model.spec)]
    if family in REFUSED:
        error, words = REFUSED[family]
        with pytest.raises(error, match=words):
            blocks.save_adapter(blocks.add_adapter(model, names, rank=2), tmp_path)
        return
    adapted = drawn(blocks.add_adapter(model, names, rank=2), 0.1)
    with torch.no_grad():
        wanted, plain = adapted(tokens), model(tokens)
        blocks.save_adapter(adapted, tmp_path)
        near(blocks.load_adapter(model, tmp_path)(tokens), wanted, 1e-4)
        near(blocks.merge_adapter(adapted)(tokens), wanted, 1e-4)
    assert (wanted - plain).abs().max() > 0.1 * wanted.std()
