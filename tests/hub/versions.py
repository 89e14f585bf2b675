"""Checkpoints that say in every file which version they are, so that a mix of two is seen."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from blocks import CausalLM, GatedMLP, RMSNorm, Spec, from_pretrained, save_pretrained
from blocks.hub.source import resolve

TEXTS = ("tokenizer.json", "tokenizer_config.json")


def model(version: int, *, dim: int = 4, depth: int = 3) -> Any:
    """A model all of whose numbers are its version, and so are an option and its end of text."""
    layer = Spec(GatedMLP, hidden=dim)
    norm = Spec(RMSNorm, eps=float(version))
    made: Any = Spec(CausalLM, vocab=8, dim=dim, layers=(layer,) * depth, norm=norm)()
    for tensor in made.parameters():
        torch.nn.init.constant_(tensor, version)
    made.generation = SimpleNamespace(to_json=lambda: {"eos_token_id": version})
    return made


def texts(version: int) -> Any:
    """A tokenizer as far as a save looks at it."""
    return SimpleNamespace(files=lambda: dict.fromkeys(TEXTS, b'{"a": %d}' % version))


def save(version: int, folder: Path, shards: int = 4, **sizes: int) -> None:
    made = model(version, **sizes)
    size = 4 * sum(tensor.numel() for tensor in made.parameters())
    most = 10 * size if shards == 1 else max(size // shards + 100, 4 * made.spec.keywords["dim"])
    save_pretrained(made, folder, tokenizer=texts(version), max_shard_size=most)


def read(folder: Path, *, verify: bool = True) -> set[int]:
    """The versions that a reader finds in a folder: one, if it is whole."""
    source = resolve(folder)
    loaded = from_pretrained(folder, verify=verify)
    found = {int(n) for tensor in loaded.parameters() for n in tensor.unique()}
    found.add(int(loaded.spec.keywords["norm"].keywords["eps"]))
    found.add(json.loads(source.need("generation_config.json").read_text())["eos_token_id"])
    return found | {json.loads(source.need(name).read_text())["a"] for name in TEXTS}
