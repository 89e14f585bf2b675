"""MambaByte: the printed sizes, what Mamba's own files say, and bytes in and out."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import blocks
from blocks import Mamba, Spec, byte_tokenizer, generate, mamba_byte
from blocks.hub.config import Config
from blocks.hub.outline import outline_of
from tests.generation.tiny import uncached

TOKENIZER = byte_tokenizer(pad=None, eos=None, unk=None)
TEXT = "Bytes: naïve, 字, 🙂 and \x00."


def small() -> Any:
    """Two narrow layers, with parameters so large that every byte matters."""
    spec = mamba_byte("353M")
    spec = blocks.replace(spec, dim=16, layers=spec.keywords["layers"][:2])
    spec = blocks.rewrite(spec, Mamba, Spec(Mamba, state_dim=4))
    torch.manual_seed(0)
    model = spec().double().eval()
    with torch.no_grad():
        model.embedding.weight.normal_()
    return model


@pytest.mark.parametrize(("name", "printed"), [("353M", 353e6), ("972M", 972e6), ("1.6B", 1.6e9)])
def test_the_printed_number_of_parameters(name: str, printed: float) -> None:
    with torch.device("meta"):
        model = mamba_byte(name)()
    assert abs(sum(p.numel() for p in model.parameters()) / printed - 1) < 0.005


def test_it_is_the_mamba_of_the_first_files() -> None:
    config = {"d_model": 1792, "n_layer": 48, "vocab_size": 256, "ssm_cfg": {}}
    outline = outline_of(Config(config | {"rms_norm": True, "residual_in_fp32": True}))
    spec = mamba_byte("972M")
    with torch.device("meta"):
        ours, theirs = (made().state_dict() for made in (spec, outline.spec))
    assert {n: t.shape for n, t in ours.items()} == {n: t.shape for n, t in theirs.items()}
    assert blocks.at(spec, "norm") == blocks.at(outline.spec, "norm")
    assert outline.spec.keywords["stem"] == spec.keywords["stem"]


def test_bytes_in_and_out() -> None:
    model, prompt = small(), TOKENIZER.encode(TEXT)
    assert bytes(prompt) == TEXT.encode() and TOKENIZER.decode(prompt) == TEXT
    assert TOKENIZER.vocab == model.vocab == 256
    found = generate(model, prompt, max_new_tokens=12)[0].tolist()
    assert found == uncached(model, prompt, 12)
    whole = bytes(found)
    assert TOKENIZER.decode(found) == whole.decode(errors="replace")
    draws = [
        generate(model, prompt, max_new_tokens=12, temperature=1.0, seed=seed) for seed in (1, 1, 2)
    ]
    assert draws[0].equal(draws[1]) and not draws[0].equal(draws[2])


def test_no_other_size() -> None:
    with pytest.raises(blocks.SpecError, match="'7B' is no size of MambaByte"):
        mamba_byte("7B")
