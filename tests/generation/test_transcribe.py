"""Transcribing writes what the reference writes: told and heard languages, times, long sounds."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration

import blocks
from blocks import AudioError, GenerationError, LogMel, Timestamps
from tests.families.reference import scramble

RATE, SECONDS = 16000, 1
VOCAB, END, START, FIRST = 120, 60, 61, 70
LANGUAGES = {"<|en|>": 62, "<|de|>": 63, "<|fr|>": 64}
TASKS = {"transcribe": 65, "translate": 66}
NEW = 30


def config(**more: Any) -> Any:
    options = {
        "vocab_size": VOCAB,
        "d_model": 32,
        "encoder_layers": 2,
        "decoder_layers": 2,
        "encoder_attention_heads": 4,
        "decoder_attention_heads": 4,
        "encoder_ffn_dim": 48,
        "decoder_ffn_dim": 48,
        "num_mel_bins": 8,
        "max_source_positions": 50,
        "max_target_positions": 64,
        "pad_token_id": END,
        "bos_token_id": END,
        "eos_token_id": END,
        "decoder_start_token_id": START,
        "suppress_tokens": None,
        "begin_suppress_tokens": None,
    }
    return WhisperConfig(**options | more)


class Both:
    """The reference and ours from its files."""

    def __init__(self, folder: Path, seed: int, **generation: Any):
        self.reference = WhisperForConditionalGeneration._from_config(
            config(), attn_implementation="eager"
        ).eval()
        scramble(self.reference)
        with torch.no_grad():  # each seed says something else
            draw = torch.Generator().manual_seed(seed)
            table = self.reference.model.decoder.embed_tokens.weight
            table.copy_(torch.randn(table.shape, generator=draw))
        said = {
            "is_multilingual": True,
            "lang_to_id": LANGUAGES,
            "task_to_id": TASKS,
            "no_timestamps_token_id": FIRST - 1,
            "max_initial_timestamp_index": 10,
            "suppress_tokens": [3, 7, 20],
            "begin_suppress_tokens": [5, END],
            "max_length": 64,
        }
        for name, value in (said | generation).items():
            setattr(self.reference.generation_config, name, value)
        self.reference.save_pretrained(folder)
        self.extractor = WhisperFeatureExtractor(
            feature_size=8, sampling_rate=RATE, hop_length=160, chunk_length=SECONDS
        )
        self.extractor.save_pretrained(folder)
        self.folder = folder
        self.ours = blocks.from_pretrained(folder)

    def wants(self, wave: torch.Tensor, **how: Any) -> list[int]:
        long = len(wave) > RATE * SECONDS
        options: Any = {"truncation": not long, "padding": "longest" if long else "max_length"}
        frames = self.extractor(
            wave.numpy(), sampling_rate=RATE, return_tensors="pt", **options
        ).input_features
        how |= {"max_new_tokens": NEW, "return_timestamps": how.get("return_timestamps", False)}
        if long:
            how["return_timestamps"] = True
        with torch.no_grad():
            return self.reference.generate(frames, do_sample=False, num_beams=1, **how)[0].tolist()


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Both]:
    @cache
    def get(seed: int, timed: bool = True) -> Both:
        # The reference never ends where a model says times without being asked.
        silent = {} if timed else {"suppress_tokens": [3, 7, 20, *range(FIRST, VOCAB)]}
        return Both(tmp_path_factory.mktemp(f"speech{seed}"), seed, **silent)

    return get


def sound(seconds: float, seed: int = 0) -> torch.Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(int(seconds * RATE), generator=draw).cumsum(0) * 0.01


SEEDS = range(3)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("timed", [False, True])
@pytest.mark.parametrize("language", ["de", None])
@pytest.mark.parametrize("task", ["transcribe", "translate"])
def test_one_window(
    both: Callable[..., Both], seed: int, timed: bool, language: str | None, task: str
) -> None:
    it, wave = both(seed, timed), sound(SECONDS, seed)
    wanted = it.wants(wave, language=language, task=task, return_timestamps=timed)
    ours = blocks.transcribe(
        it.ours, wave, language=language, task=task, timestamps=timed, max_new_tokens=NEW
    )
    assert list(ours.ids) == wanted
    assert ours.language == language or language is None and ours.language in ("en", "de", "fr")


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("seconds", [1.01, 2.0, 3.37])
@pytest.mark.parametrize("language", ["en", None])
def test_a_long_sound(
    both: Callable[..., Both], seed: int, seconds: float, language: str | None
) -> None:
    it, wave = both(seed), sound(seconds, seed)
    wanted = it.wants(wave, language=language, task="transcribe")
    ours = blocks.transcribe(it.ours, wave, language=language, max_new_tokens=NEW)
    assert list(ours.ids) == wanted
    assert all(0 <= s.start <= s.end <= seconds + SECONDS for s in ours.segments)
