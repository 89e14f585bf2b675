"""Models in GGUF: logits of the reference, whose tensors the conversion had moved and changed."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import gguf
import pytest
import torch
from gguf import GGMLQuantizationType, PoolingType

import blocks
from blocks.hub.gguf.translate import architectures, dialect_of
from tests.families.reference import case_of
from tests.hub.gguf_files import reference, write
from tests.hub.gguf_kinds import KINDS

ROOT = Path(__file__).parents[2]
PAIRS = [(family, variant) for family, kind in KINDS.items() for variant in kind.variants]
QUICK = ("llama", "qwen3_moe", "gemma2", "gpt2", "mamba", "bert")
# Where one was added to a number, or an exponential taken of it, that is rounded twice.
TOLERANCE = {"gemma3_text": 3e-5, "mamba": 2e-5}
UNWRITTEN = {"bert"}  # an encoder without its pooler has no files of the family's
# Rows of whole blocks.
WIDE = {"hidden_size": 64, "intermediate_size": 128, "moe_intermediate_size": 64}


@cache
def asked(family: str, variant: str, wide: bool = False) -> tuple[Any, torch.Tensor, torch.Tensor]:
    """The reference, what it is asked, and its answer."""
    model, how = reference(KINDS[family], variant, **(WIDE if wide else {}))
    draw = torch.Generator().manual_seed(0)
    tokens = torch.randint(3, case_of(KINDS[family].family).vocab, (2, 24), generator=draw)
    with torch.no_grad():
        return model, tokens, how.answer(model(tokens))


def distance(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    return float((ours - theirs).abs().max() / theirs.std())


@pytest.mark.parametrize(
    ("family", "variant"),
    [pytest.param(*pair, marks=[] if pair[0] in QUICK else [pytest.mark.slow]) for pair in PAIRS],
)
def test_logits_are_the_references(family: str, variant: str, tmp_path: Path) -> None:
    model, tokens, theirs = asked(family, variant)
    write(tmp_path / "model.gguf", model, KINDS[family])
    ours = blocks.from_pretrained(tmp_path / "model.gguf")
    assert ours.provenance.family == model.config.model_type
    with torch.no_grad():
        assert distance(ours(tokens), theirs) < TOLERANCE.get(family, 1e-5)
    report = blocks.inspect(tmp_path / "model.gguf")
    every = {id(tensor): tensor.numel() for tensor in blocks.addresses(ours).values()}
    assert report.fits and report.parameters == sum(every.values())
    export = blocks.export if family not in UNWRITTEN else blocks.save_pretrained
    export(ours, tmp_path / "plain")
    again = blocks.from_pretrained(tmp_path / "plain")
    assert again.spec == ours.spec
    held = blocks.addresses(again)
    assert all(torch.equal(t, held[a]) for a, t in blocks.addresses(ours).items())


@pytest.mark.parametrize("name", ["Q8_0", "Q4_1"])
@pytest.mark.parametrize("family", ["llama", "qwen3_moe"])
def test_quantised_logits_are_those_of_the_numbers_it_stands_for(
    family: str, name: str, tmp_path: Path
) -> None:
    model, tokens, whole = asked(family, KINDS[family].variants[0], wide=True)
    typed = GGMLQuantizationType[name]
    write(tmp_path / "model.gguf", model, KINDS[family], typed)
    write(tmp_path / "plain.gguf", model, KINDS[family], typed, back=True)
    exact = blocks.from_pretrained(tmp_path / "plain.gguf")
    ours = blocks.from_pretrained(tmp_path / "model.gguf", dtype=torch.float32)
    held = blocks.addresses(exact)
    assert all(torch.equal(t, held[a]) for a, t in blocks.addresses(ours).items())
    with torch.no_grad():
        assert distance(ours(tokens), exact(tokens)) == 0
        assert distance(ours(tokens), whole) > 1e-3
    short = blocks.from_pretrained(tmp_path / "model.gguf")
    assert {t.dtype for t in blocks.addresses(short).values()} == {torch.bfloat16}
    report = blocks.inspect(tmp_path / "model.gguf")
    assert report.dtype == "bfloat16" and report.dtypes[name] > 10


@pytest.mark.slow
def test_transformers_reads_the_same(tmp_path: Path) -> None:
    """Its own reader, of another hand, agrees about names, metadata and moved rows."""
    from transformers import AutoModelForCausalLM

    for family in ("llama", "qwen2"):
        model, tokens, _ = asked(family, "plain")
        folder = tmp_path / family
        folder.mkdir()
        write(folder / "model.gguf", model, KINDS[family])
        theirs = AutoModelForCausalLM.from_pretrained(folder, gguf_file="model.gguf")
        ours = blocks.from_pretrained(folder)
        with torch.no_grad():
            assert distance(ours(tokens), theirs(tokens).logits) < 1e-5


def test_an_encoder_of_texts_makes_vectors(tmp_path: Path) -> None:
    model, tokens, hidden = asked("bert", "bare")
    kind = replace(KINDS["bert"], tell=lambda writer, _: writer.add_pooling_type(PoolingType.MEAN))
    write(tmp_path / "model.gguf", model, kind)
    ours = blocks.from_pretrained(tmp_path / "model.gguf")
    with torch.no_grad():
        mean = hidden.mean(1)
        assert distance(ours(tokens), mean / mean.norm(dim=-1, keepdim=True)) < 1e-5
    other = replace(kind, tell=lambda writer, _: writer.add_pooling_type(PoolingType.RANK))
    write(tmp_path / "rank.gguf", model, other)
    with pytest.raises(blocks.ConfigError, match="pooling_type: 4 is no way"):
        blocks.from_pretrained(tmp_path / "rank.gguf")


def test_every_dialect_is_tried() -> None:
    """A dialect without a file of its own here is a guess."""
    tried = {kind.architecture.replace("-", "_") for kind in KINDS.values()}
    assert tried == set(architectures())
    assert all(
        name in gguf.MODEL_ARCH_NAMES.values() for name in {k.architecture for k in KINDS.values()}
    )
    page = (ROOT / "docs" / "gguf.md").read_text(encoding="utf-8").partition("**Architectures**")[2]
    told = page.partition(". Each was")[0].partition(": ")[2]
    assert set(re.sub(r"\(.*?\)|\s", "", told).split(",")) == {
        k.architecture for k in KINDS.values()
    }
    assert dialect_of("command-r", "x").model_type == "cohere"
