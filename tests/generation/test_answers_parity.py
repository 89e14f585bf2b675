"""Encoder–decoders: the reference's answers and their scores."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForSeq2SeqLM,
    BartConfig,
    GenerationConfig,
    MarianConfig,
    MBartConfig,
    T5Config,
)

from blocks import (
    ForcedFirst,
    ForcedLast,
    MinLength,
    NoSourceNGram,
    Suppressed,
    beam_search,
    generate,
)
from blocks.hub.defaults import read_generation
from blocks.hub.source import resolve
from tests.generation.pairs import asked, pair

WORDS, PAD, NEW = 29, 1, 8
IDS: dict[str, Any] = {"vocab_size": WORDS, "pad_token_id": PAD, "eos_token_id": None}
HEADS = {"encoder_attention_heads": 4, "decoder_attention_heads": 4}
DEPTH = {"encoder_layers": 2, "decoder_layers": 2, "encoder_ffn_dim": 24, "decoder_ffn_dim": 24}
BART: dict[str, Any] = {**IDS, **HEADS, **DEPTH, "d_model": 16, "max_position_embeddings": 32}
BART |= {"bos_token_id": 0, "decoder_start_token_id": 2, "forced_eos_token_id": None}
T5 = {"d_model": 16, "d_kv": 4, "d_ff": 24, "num_layers": 2, "num_heads": 4}
FAMILIES: dict[str, Any] = {
    "t5": T5Config(**IDS, **T5, decoder_start_token_id=0),
    "bart": BartConfig(**BART),
    "marian": MarianConfig(**BART),
    "mbart": MBartConfig(**BART),
}


@cache
def both(name: str) -> tuple[Any, Any]:
    return pair(AutoModelForSeq2SeqLM.from_config(FAMILIES[name]))


def sources() -> tuple[torch.Tensor, torch.Tensor]:
    lengths = torch.tensor([6, 3, 9])
    ids = torch.randint(2, WORDS, (3, 9), generator=torch.Generator().manual_seed(4))
    mask = torch.arange(9) < lengths[:, None]
    return ids.masked_fill(~mask, PAD), mask


OPTIONS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "plain": ({}, {}),
    "long": ({"length_penalty": 2.0}, {"length_penalty": 2.0}),
    "short": (
        {"length_penalty": -1.0, "early_stopping": True},
        {"length_penalty": -1.0, "early_stopping": True},
    ),
    "never": ({"early_stopping": "never"}, {"early_stopping": "never"}),
    "rules": (
        {
            "rules": [
                ForcedFirst(13),
                ForcedLast((9,)),
                NoSourceNGram(1),
                MinLength(6),
                Suppressed((PAD,)),  # which the reference takes for a part of the source
            ],
            "no_repeat_ngram": 2,
            "repetition_penalty": 1.2,
        },
        {
            "forced_bos_token_id": 13,
            "forced_eos_token_id": 9,
            "encoder_no_repeat_ngram_size": 1,
            "suppress_tokens": [PAD],
            "min_length": 6,
            "no_repeat_ngram_size": 2,
            "repetition_penalty": 1.2,
        },
    ),
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("stop", [(9, 16), ()])
def test_the_same_answers_as_the_reference(family: str, name: str, stop: tuple[int, ...]) -> None:
    model, reference = both(family)
    ids, mask = sources()
    ours, options = OPTIONS[name]
    fixed = {"max_new_tokens": NEW, "eos_token_id": list(stop) or None, "pad_token_id": PAD}
    given = {**fixed, **options}
    wanted, texts = asked(reference, ids, mask, num_beams=4, num_return_sequences=2, **given)
    told = {"max_new_tokens": NEW, "stop": stop, "mask": mask}
    scores, found = beam_search(model, ids, beams=4, returned=2, **told, **ours)
    assert found.tolist() == texts.tolist()
    torch.testing.assert_close(scores, wanted, atol=2e-5, rtol=1e-5)
    if name in ("plain", "rules"):
        greedy = reference.generate(ids, attention_mask=mask, do_sample=False, **given)
        assert generate(model, ids, **told, **ours).tolist() == greedy.tolist()


# What generation_config.json of well-known checkpoints says, with ids of this vocabulary.
SAID: dict[str, tuple[str, dict[str, Any]]] = {
    "summaries": (
        "bart",
        {
            "decoder_start_token_id": 2,
            "early_stopping": True,
            "eos_token_id": 16,
            "forced_bos_token_id": 13,
            "forced_eos_token_id": 16,
            "length_penalty": 2.0,
            "min_length": 5,
            "no_repeat_ngram_size": 3,
            "num_beams": 4,
        },
    ),
    "translations": (
        "marian",
        {
            "bad_words_ids": [[1]],
            "decoder_start_token_id": 1,
            "eos_token_id": 9,
            "forced_eos_token_id": 9,
            "num_beams": 6,
            "renormalize_logits": True,
        },
    ),
    "talks": (
        "bart",
        {
            "decoder_start_token_id": 4,
            "encoder_no_repeat_ngram_size": 3,
            "eos_token_id": [9, 16],
            "forced_eos_token_id": 9,
            "length_penalty": 0.65,
            "min_length": 6,
            "no_repeat_ngram_size": 3,
            "num_beams": 10,
        },
    ),
}


@pytest.mark.parametrize("name", SAID)
def test_a_checkpoint_is_searched_as_it_was_made_for(name: str, tmp_path: Path) -> None:
    family, fields = SAID[name]
    model, reference = both(family)
    ids, mask = sources()
    config = GenerationConfig(**fields, pad_token_id=PAD)
    config.save_pretrained(tmp_path)
    options = {"return_dict_in_generate": True, "output_scores": True, "max_new_tokens": NEW}
    found = reference.generate(ids, attention_mask=mask, generation_config=config, **options)
    greedy = reference.generate(
        ids, attention_mask=mask, generation_config=config, max_new_tokens=NEW, num_beams=1
    )
    before, model.generation = model.generation, read_generation(resolve(tmp_path))
    try:
        scores, texts = beam_search(model, ids, mask=mask, max_new_tokens=NEW)
        likeliest = generate(model, ids, mask=mask, max_new_tokens=NEW)
    finally:
        model.generation = before
    assert texts.tolist() == found.sequences.tolist()
    torch.testing.assert_close(scores, found.sequences_scores, atol=2e-5, rtol=1e-5)
    assert likeliest.tolist() == greedy.tolist()
