"""Models that name the sound of each place: as the reference, without repetitions and blanks."""

from __future__ import annotations

import copy
import json
import re
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer as Trained
from tokenizers import models
from transformers import (
    ParakeetCTCConfig,
    ParakeetFeatureExtractor,
    ParakeetForCTC,
    Wav2Vec2ConformerConfig,
    Wav2Vec2ConformerForCTC,
    Wav2Vec2CTCTokenizer,
    Wav2Vec2FeatureExtractor,
)

import blocks
from blocks import AudioError, GenerationError, TokenizerError
from blocks.text.letters import Letters
from tests.families.cases import parakeet_ctc, wav2vec2_conformer
from tests.families.reference import scramble
from tests.generation.speech import RATE, sound

LETTERS = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ETAONIHSRDLUMWCFGYPBVK'XJQZ"]


def saved(kind: Any, config: Any, extractor: Any, folder: Path) -> tuple[Any, Any, Any]:
    reference = kind._from_config(config, attn_implementation="eager").eval()
    scramble(reference)
    with torch.no_grad():  # so that it doesn't say the same all the time
        head = next(p for n, p in reference.named_parameters() if n.endswith("_head.weight"))
        head.mul_(4).sub_(head.mean(0))
    reference.save_pretrained(folder)
    extractor.save_pretrained(folder)
    return reference, extractor, blocks.from_pretrained(folder)


@pytest.fixture(scope="module")
def wav2vec2(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any, Any]:
    folder = tmp_path_factory.mktemp("wav2vec2")
    (folder / "vocab.json").write_text(json.dumps({t: i for i, t in enumerate(LETTERS)}))
    options = wav2vec2_conformer.BASE | {"vocab_size": len(LETTERS), "conv_stride": (16, 8)}
    config = Wav2Vec2ConformerConfig(**options)
    extractor = Wav2Vec2FeatureExtractor(return_attention_mask=True)
    return saved(Wav2Vec2ConformerForCTC, config, extractor, folder)


@pytest.fixture(scope="module")
def parakeet(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any, Any]:
    config = ParakeetCTCConfig(**parakeet_ctc.BASE)
    extractor = ParakeetFeatureExtractor(feature_size=16)
    return saved(ParakeetForCTC, config, extractor, tmp_path_factory.mktemp("parakeet"))


def noise(seconds: float, seed: int) -> torch.Tensor:
    """Bursts of noise: what is named changes with them."""
    draw = torch.Generator().manual_seed(seed)
    loud = torch.rand(64, generator=draw).repeat_interleave(RATE // 40)[: int(seconds * RATE)]
    return torch.randn(len(loud), generator=draw) * loud


def collapsed(ids: torch.Tensor, blank: int) -> list[int]:
    return [id for id, _ in groupby(ids.tolist()) if id != blank]


@pytest.mark.parametrize("seed", range(3))
def test_letters(wav2vec2: tuple[Any, Any, Any], seed: int) -> None:
    reference, extractor, ours = wav2vec2
    wave = noise(0.5 + seed / 4, seed)
    heard = extractor(wave.numpy(), sampling_rate=RATE, return_tensors="pt")
    with torch.no_grad():
        ids = reference(**heard).logits.argmax(-1)[0]
    found = blocks.transcribe(ours, wave, rate=RATE)
    assert list(found.ids) == collapsed(ids, 0) and len(set(found.ids)) > 3
    tokenizer = Wav2Vec2CTCTokenizer(Path(ours.provenance.source) / "vocab.json")
    # It writes out the names of tokens that are no text.
    assert found.text == re.sub("</?s>|<unk>", "", tokenizer.decode(ids))
    assert found.segments[0].end == len(wave) / RATE and found.language is None


@pytest.mark.parametrize("seed", range(3))
def test_pieces(parakeet: tuple[Any, Any, Any], seed: int, tmp_path: Path) -> None:
    reference, extractor, ours = parakeet
    wave = sound(1 + seed / 4, seed)
    heard = extractor(wave.numpy(), sampling_rate=RATE, return_tensors="pt")
    ids = reference.generate(**heard)[0]
    found = blocks.transcribe(ours, wave)
    assert list(found.ids) == collapsed(ids, 36) and len(set(found.ids)) > 2
    assert found.text is None
    words = {f"w{i}": i for i in range(37)}
    tokenizer = blocks.Tokenizer.from_backend(Trained(models.WordLevel(words, unk_token="w0")))
    tokenizer.save_pretrained(ours.provenance.source)
    try:
        spoken = blocks.transcribe(ours, wave).text
    finally:
        for file in tokenizer._files:
            (Path(ours.provenance.source) / file).unlink(missing_ok=True)
    assert spoken is not None and spoken.split() == [f"w{i}" for i in found.ids]


@pytest.mark.parametrize(
    ("how", "kind", "word"),
    [
        ({"language": "en"}, GenerationError, "language"),
        ({"task": "translate"}, GenerationError, "task"),
        ({"timestamps": True}, GenerationError, "timestamps"),
        ({"max_new_tokens": 5}, GenerationError, "max_new_tokens"),
        ({"audio": torch.zeros(5)}, GenerationError, "too few"),
        ({"rate": 8000}, AudioError, "rate"),
    ],
)
def test_what_is_not_told(wav2vec2: Any, how: dict[str, Any], kind: type, word: str) -> None:
    options = {"audio": sound(0.5)} | how
    with pytest.raises(kind, match=word):
        blocks.transcribe(wav2vec2[2], options.pop("audio"), **options)


def test_a_blank_that_nobody_names_and_a_broken_model(wav2vec2: Any) -> None:
    loose = copy.deepcopy(wav2vec2[2])
    loose.generation = blocks.GenerationDefaults()
    with pytest.raises(GenerationError, match="pad_token_id"):
        blocks.transcribe(loose, sound(0.5))
    broken = copy.deepcopy(wav2vec2[2]).train()
    assert blocks.transcribe(broken, sound(0.5)) == blocks.transcribe(wav2vec2[2], sound(0.5))
    assert broken.training
    with torch.no_grad():
        broken.layers[1].attention.inner.q.weight[0, 0] = torch.nan
    with pytest.raises(GenerationError, match=r"layers\.1\.attention\.q\.weight"):
        blocks.transcribe(broken, sound(0.5))


def source(folder: Path, vocab: Any, **config: Any) -> Any:
    (folder / "vocab.json").write_text(json.dumps(vocab))
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    from blocks.hub.source import resolve

    return resolve(folder)


def test_letters_as_the_files_say(tmp_path: Path) -> None:
    vocab = {"A": 0, "_": 1, "B": 2, "<blank>": 3, "[UNK]": 4}
    said = {
        "word_delimiter_token": "_",
        "pad_token": {"__type": "AddedToken", "content": "<blank>"},
        "unk_token": "[UNK]",
    }
    letters = Letters.from_source(source(tmp_path, vocab, do_lower_case=True, **said))
    assert letters.decode([0, 3, 2, 1, 4, 0]) == "ab a"
    assert (letters.id("B"), letters.id("C")) == (2, None)
    names = said | {"pad_token": "<blank>", "do_lower_case": True}
    theirs = Wav2Vec2CTCTokenizer(tmp_path / "vocab.json", **names)
    assert theirs.decode([0, 3, 2, 1, 0]) == "ab a"
    with pytest.raises(TokenizerError, match="no token 9"):
        letters.decode([9])
    for wrong in ({"eng": {"a": 1}}, {"a": "1"}, {"a": -1}, {}):
        with pytest.raises(TokenizerError, match="not a table"):
            Letters.from_source(source(tmp_path, wrong))
