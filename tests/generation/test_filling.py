"""fill_mask: the likeliest tokens behind each mask."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer as Trained
from tokenizers import models, pre_tokenizers, processors

import blocks
from blocks import (
    Full,
    GenerationError,
    GQAttention,
    MaskedLM,
    Residual,
    RoPE,
    Spec,
    Tokenizer,
    TokenizerError,
    fill_mask,
)
from tests.generation.tiny import tiny

WORDS = ["[CLS]", "[SEP]", "[MASK]", "[UNK]", *(f"w{i}" for i in range(13))]


def tokenizer(**roles: str) -> Tokenizer:
    trained = Trained(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="[UNK]"))
    trained.pre_tokenizer = pre_tokenizers.WhitespaceSplit()  # pyright: ignore
    trained.post_processor = processors.TemplateProcessing(  # pyright: ignore
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 0), ("[SEP]", 1)]
    )
    return Tokenizer.from_backend(trained, **roles)


def model(vocab: int = len(WORDS), **options: Any) -> MaskedLM:
    layer = Spec(Residual, inner=Spec(GQAttention, heads=2, qk=(RoPE,), mask=Full()))
    made = MaskedLM(vocab=vocab, dim=8, layers=(layer,) * 2, **options)
    draw = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=draw))
    return made


def wanted(it: MaskedLM, ids: list[int], place: int, top: int) -> list[tuple[float, int]]:
    with torch.no_grad():
        share = it(torch.tensor([ids]))[0, place].softmax(-1)
    return sorted(((float(p), i) for i, p in enumerate(share)), reverse=True)[:top]


def test_the_likeliest_tokens_of_each_mask() -> None:
    it, text = model(), "w1 [MASK] w5 w2 [MASK]"
    ids = [0, 5, 2, 9, 6, 2, 1]
    assert tokenizer(mask="[MASK]").encode(text) == ids
    found = fill_mask(it, text, tokenizer=tokenizer(mask="[MASK]"), top=4)
    assert len(found) == 2
    for place, best in zip((2, 5), found, strict=True):
        expected = wanted(it, ids, place, 4)
        assert [each.token for each in best] == [i for _, i in expected]
        assert [each.probability for each in best] == pytest.approx([p for p, _ in expected])
        assert [each.text for each in best] == [WORDS[i] for _, i in expected]
    assert found[0] != found[1]
    assert len(fill_mask(it, text, tokenizer=tokenizer(mask="[MASK]"))[0]) == 5
    assert len(fill_mask(it, text, tokenizer=tokenizer(mask="[MASK]"), top=99)[0]) == len(WORDS)


def test_tokens_that_the_tokenizer_lacks_are_left_out() -> None:
    it, words = model(vocab=64), tokenizer(mask="[MASK]")
    [best] = fill_mask(it, "w1 [MASK]", tokenizer=words, top=64)
    assert {each.token for each in best} == set(range(len(WORDS)))
    assert sum(each.probability for each in best) < 0.999


def test_the_checkpoint_brings_its_tokenizer(tmp_path: Path) -> None:
    blocks.save_pretrained(model(), tmp_path)
    loaded = blocks.from_pretrained(tmp_path)
    with pytest.raises(TokenizerError):
        fill_mask(loaded, "w1 [MASK]")
    tokenizer(mask="[MASK]").save_pretrained(tmp_path)
    told = fill_mask(loaded, "w1 [MASK]")
    assert told == fill_mask(model(), "w1 [MASK]", tokenizer=tokenizer(mask="[MASK]"))


def test_the_model_is_left_as_it_was() -> None:
    it = model().train()
    fill_mask(it, "[MASK]", tokenizer=tokenizer(mask="[MASK]"))
    assert it.training


def test_what_cannot_be_filled() -> None:
    it, words = model(), tokenizer(mask="[MASK]")
    with pytest.raises(GenerationError, match=r"text: holds no mask.*\[MASK\]"):
        fill_mask(it, "w1 w2", tokenizer=words)
    with pytest.raises(GenerationError, match="tokenizer: has no mask token"):
        fill_mask(it, "w1 [MASK]", tokenizer=tokenizer())
    with pytest.raises(GenerationError, match="pass tokenizer="):
        fill_mask(it, "w1 [MASK]")
    with pytest.raises(GenerationError, match="CausalLM fills no masks"):
        fill_mask(tiny(), "w1 [MASK]", tokenizer=words)  # type: ignore[arg-type]  # that is the test
    with pytest.raises(GenerationError, match="5 tokens are more than the model's context of 4"):
        fill_mask(model(context=4), "w1 [MASK] w2", tokenizer=words)
    with pytest.raises(GenerationError, match="not in the vocabulary"):
        fill_mask(model(vocab=4), "w1 [MASK]", tokenizer=words)
    for top in (0, -1, 1.5, True):
        with pytest.raises(GenerationError, match="top"):
            fill_mask(it, "[MASK]", tokenizer=words, top=top)  # type: ignore[arg-type]  # likewise


def test_weights_that_are_not_finite_are_named() -> None:
    it = model()
    with torch.no_grad():
        it.embedding.weight[3, 0] = float("nan")
        it.embedding.weight[2, 0] = float("nan")
    with pytest.raises(GenerationError, match="not finite") as caught:
        fill_mask(it, "[MASK]", tokenizer=tokenizer(mask="[MASK]"))
    assert caught.value.tensor == "embedding.weight"
