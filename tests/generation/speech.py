"""A tiny model of speech, the reference's and ours, and sounds for both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration

import blocks
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

    def wants(self, wave: torch.Tensor, **how: Any) -> tuple[list[int], list[Any]]:
        """The reference's tokens, and (start, end, tokens) of its segments."""
        long = len(wave) > RATE * SECONDS
        options: Any = {"truncation": not long, "padding": "longest" if long else "max_length"}
        frames = self.extractor(
            wave.numpy(), sampling_rate=RATE, return_tensors="pt", **options
        ).input_features
        how |= {"max_new_tokens": NEW, "return_timestamps": how.get("return_timestamps", False)}
        if long:
            how["return_timestamps"] = True
        how |= {"do_sample": False, "num_beams": 1, "return_segments": True}
        with torch.no_grad():
            found = self.reference.generate(frames, **how)
        parts = [(float(s["start"]), float(s["end"]), s["tokens"]) for s in found["segments"][0]]
        return found["sequences"][0].tolist(), parts


def sound(seconds: float, seed: int = 0) -> torch.Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(int(seconds * RATE), generator=draw).cumsum(0) * 0.01
