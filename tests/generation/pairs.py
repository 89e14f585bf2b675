"""Tiny models of the reference with every parameter drawn anew, and ours from their files."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import transformers
from transformers import GPT2Config, LlamaConfig, MistralConfig

import blocks
from blocks import GenerationDefaults
from blocks.hub.defaults import read_generation
from blocks.hub.source import resolve

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()

VOCAB, PAD = 29, 1
SIZES: dict[str, Any] = {
    "vocab_size": VOCAB,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
}
ALL: dict[str, Any] = {"pad_token_id": PAD, "bos_token_id": None, "eos_token_id": None}
DECODERS: dict[str, Any] = {
    "llama": LlamaConfig(**SIZES, **ALL),
    "mistral": MistralConfig(**SIZES, **ALL, sliding_window=5),
    "gpt2": GPT2Config(vocab_size=VOCAB, n_embd=16, n_layer=2, n_head=4, n_positions=64, **ALL),
}


@cache
def decoder(name: str) -> tuple[Any, Any]:
    """Ours and theirs."""
    return pair(transformers.AutoModelForCausalLM.from_config(DECODERS[name]))


def pair(theirs: Any) -> tuple[Any, Any]:
    """Ours with the reference's parameters, which are drawn anew first."""
    draw = torch.Generator().manual_seed(7)
    with torch.no_grad():
        learnt = (parameter for parameter in theirs.parameters() if parameter.requires_grad)
        for parameter in learnt:
            parameter.copy_(torch.randn(parameter.shape, generator=draw) * 0.3)
    theirs.eval()
    with TemporaryDirectory() as folder:
        theirs.save_pretrained(folder)
        ours = blocks.from_pretrained(Path(folder), copy=True)
    return ours, theirs


def asked(theirs: Any, ids: Any, mask: Any, **options: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """The reference's scores and texts of a beam search."""
    given = {"do_sample": False, "return_dict_in_generate": True, "output_scores": True}
    found = theirs.generate(ids, attention_mask=mask, **given, **options)
    return found.sequences_scores, found.sequences


def written(folder: Path, **fields: Any) -> GenerationDefaults:
    """What is read of a generation_config.json that holds these fields."""
    (folder / "generation_config.json").write_text(json.dumps(fields))
    return read_generation(resolve(folder))
